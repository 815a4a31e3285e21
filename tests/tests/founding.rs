//! What goes wrong while a federation is founded, and how it goes on.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use fedshield_tests::{Daemon, Federation, Program, Terms};
use fedshieldd::control::api::{InviteView, NodeState};
use fedshieldd::home::Home;

const LIMIT: Duration = Duration::from_secs(120);
const OWNER: usize = 0;

/// A federation in the making, whose owner keeps its port over restarts.
struct Making {
    federation: Federation,
    program: Program,
    listen: String,
}

impl Making {
    fn start(members: usize) -> Self {
        let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
        let federation = Federation::start(&program, members, |_| None);
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let listen = format!("listen=/ip4/127.0.0.1/tcp/{port}");
        let mut making = Self { federation, program, listen };
        making.restart_owner(|_| ());
        making
    }

    /// Stops the owner, changes its home, starts it again.
    fn restart_owner(&mut self, change: impl FnOnce(&Home)) {
        let owner = &mut self.federation.daemons[OWNER];
        let home = owner.home.clone();
        let done = self.program.run(&home, ["stop", "--json"]).ok();
        assert_eq!(done.trim(), "{}");
        assert_eq!(owner.wait(), Some(0), "{}", owner.tail());
        change(&Home::new(&home));
        self.federation.daemons[OWNER] = Daemon::start_with(&self.program, &home, &[&self.listen]);
        self.federation
            .wait_until("the owner answers", |daemons| daemons[OWNER].status().is_some());
    }

    fn state_of(&mut self, member: usize, wanted: NodeState) {
        self.federation.wait_until("a member is in that state", |daemons| {
            daemons[member].status().is_some_and(|status| status.state == wanted)
        });
    }

    fn all_active(&mut self) {
        self.federation.wait_until("all rounds are done", |daemons| {
            let states = daemons.iter().map(|daemon| daemon.status().map(|status| status.state));
            states.into_iter().all(|state| state == Some(NodeState::Done))
        });
    }
}

fn terms() -> Terms {
    Terms { members: 3, rounds: 1, ..Terms::default() }
}

#[test]
fn a_node_that_is_refused_can_join_again() {
    let mut making = Making::start(3);
    making.federation.new_draft(&terms());
    making.federation.join(1);
    // The owner starts over: it no longer knows the invite under which the node has joined.
    making.restart_owner(|home| std::fs::remove_file(home.draft()).expect("there is a draft"));
    making.federation.new_draft(&terms());
    making.federation.daemons[1].wait_for_log(&["\"founding\"", "does not know"], LIMIT);
    making.state_of(1, NodeState::Idle);
    let status = making.federation.daemons[1].status().expect("it still answers");
    assert!(status.last_error.is_some_and(|error| error.contains("invite")));
    // The same running node joins the new draft and gets through to the end.
    making.federation.join(1);
    making.federation.join(2);
    making.federation.freeze();
    making.all_active();
}

#[test]
fn a_node_that_has_signed_asks_again_after_a_refusal() {
    let mut making = Making::start(3);
    making.federation.new_draft(&terms());
    making.federation.join(1);
    making.federation.join(2);
    // One founder is unreachable when the draft is frozen, so that the other has signed and has to
    // wait.
    let away: PathBuf = making.federation.daemons[2].home.clone();
    making.program.run(&away, ["stop"]).ok();
    assert_eq!(making.federation.daemons[2].wait(), Some(0));
    making.federation.freeze();
    making.federation.wait_until("the owner has the signature", |daemons| {
        let members = daemons[OWNER].status().and_then(|status| status.federation);
        members.is_some_and(|federation| federation.signed.contains(&"m1".to_owned()))
    });
    // Its signature has been sent: it must not leave, whatever an owner that has lost its draft
    // answers, and asks again.
    let kept = making.federation.folder().join("kept");
    making.restart_owner(|home| std::fs::rename(home.draft(), &kept).expect("there is a draft"));
    making.federation.new_draft(&terms());
    making.federation.daemons[1].wait_for_log(&["\"founding\"", "does not know"], LIMIT);
    making.federation.daemons[1].wait_for_log(&["\"founding\"", "does not know"], LIMIT);
    making.restart_owner(|home| std::fs::rename(&kept, home.draft()).expect("it can be put back"));
    making.federation.restart(2);
    making.all_active();
}

/// The address under which others would see this machine, if it has any but loopback.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing: it only chooses the way.
    socket.connect("198.51.100.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn an_invite_names_addresses_that_others_can_dial_or_warns() {
    let mut making = Making::start(2);
    making.federation.new_draft(&terms());
    let owner = making.federation.daemons[OWNER].home.clone();
    let run = making.program.run(&owner, ["invite"]);
    assert!(run.err.contains("external_addresses"), "{}", run.err);
    assert!(!run.ok().contains("warning"), "the answer is the invite alone");
    // The checks before a first round say the same.
    let doctor = making.program.run(&owner, ["doctor"]);
    assert!(doctor.out.contains("only this machine"), "{}", doctor.out);

    let Some(own) = own_address() else {
        return eprintln!("skipped: this machine has no address but loopback");
    };
    making.listen = making.listen.replace("127.0.0.1", "0.0.0.0");
    making.restart_owner(|_| ());
    let run = making.program.run(&owner, ["invite", "--json"]);
    assert_eq!(run.err, "");
    let invite: InviteView = serde_json::from_str(&run.ok()).expect("an invite");
    assert_eq!(invite.warning, None);
    let reached = format!("/ip4/{own}/tcp/");
    assert!(invite.addresses.iter().any(|a| a.starts_with(&reached)), "{:?}", invite.addresses);
    assert!(!invite.addresses.iter().any(|a| a.contains("/127.")), "{:?}", invite.addresses);
    let doctor = making.program.run(&owner, ["doctor"]);
    assert!(doctor.out.contains(&format!("others are told /ip4/{own}")), "{}", doctor.out);
    let joiner = making.federation.daemons[1].home.clone();
    making.program.run(&joiner, ["join", "--yes", &invite.invite]).ok();
}
