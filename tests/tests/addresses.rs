//! Listen addresses that do not exist yet, and members that have moved.

use std::net::TcpListener;

use fedshield_tests::{Daemon, Federation, Program, Terms, Work, eventually, make_home};
use fedshieldd::control::api::{AddressOrigin, MemberView, Severity};

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fedshield"))
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    free.local_addr().expect("it is bound").port()
}

/// What `status` says under this name, if anything.
fn severity(daemon: &Daemon, name: &str) -> Option<Severity> {
    let status = daemon.status()?;
    let mut named = status.conditions.iter().filter(|condition| condition.name == name);
    named.next().map(|condition| condition.severity)
}

#[test]
fn a_node_waits_for_its_address_and_goes_on_by_itself() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = folder.path().join("node");
    make_home(&program(), &home, "node", &Work::domains()[0]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    let listen = format!("listen={address}");
    let daemon = Daemon::start_with(&program(), &home, &[&listen]);
    assert!(eventually(|| severity(&daemon, "listen") == Some(Severity::Blocking)));
    let shown = program().run(&home, ["status"]).ok();
    assert!(shown.contains(&address) && shown.contains("in use by another process"), "{shown}");
    drop(taken);
    assert!(eventually(|| severity(&daemon, "listen").is_none()));
    assert!(eventually(|| daemon
        .status()
        .is_some_and(|status| status.listen == [address.as_str()])));
    drop(daemon);

    // One of several: TEST-NET-1, which no machine has.
    let listen = format!("{listen},/ip4/192.0.2.1/tcp/7000,{address}");
    let daemon = Daemon::start_with(&program(), &home, &[&listen]);
    assert!(eventually(|| severity(&daemon, "listen") == Some(Severity::Warning)));
    assert!(eventually(|| severity(&daemon, "listen-repeated") == Some(Severity::Notice)));
    let doctor = program().run(&home, ["doctor"]);
    assert!(doctor.out.contains("/ip4/192.0.2.1/tcp/7000 (no interface"), "{}", doctor.out);
}

#[test]
fn one_address_is_enough_when_all_have_moved() {
    let program = program();
    let terms = Terms { members: 3, rounds: 1, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    federation.wait_until_done();
    let homes: Vec<_> = federation.daemons.iter().map(|daemon| daemon.home.clone()).collect();
    for (daemon, home) in federation.daemons.iter_mut().zip(&homes) {
        program.run(home, ["stop"]).ok();
        assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
    }
    let addresses: Vec<String> =
        homes.iter().map(|_| format!("/ip4/127.0.0.1/tcp/{}", free_port())).collect();
    for ((daemon, home), address) in federation.daemons.iter_mut().zip(&homes).zip(&addresses) {
        *daemon = Daemon::start_with(&program, home, &[&format!("listen={address}")]);
    }
    federation.wait_until("all answer", |daemons| daemons.iter().all(|d| d.status().is_some()));
    let members = |home: &std::path::Path| -> Vec<MemberView> {
        let run = program.run(home, ["members", "--json"]);
        serde_json::from_str(&run.ok()).expect("the members")
    };
    let name = members(&homes[0])[0].name.clone();
    let wrong = program.run(&homes[1], ["peer", "add", "nobody", &addresses[0]]);
    wrong.fails(2, &["nobody", &name]);
    for home in &homes[1..] {
        let said = program.run(home, ["peer", "add", &name, &addresses[0]]).ok();
        assert!(said.contains(&addresses[0]), "{said}");
    }
    let all_connected = || {
        homes.iter().all(|home| {
            members(home).iter().all(|member| member.is_self || !member.connections.is_empty())
        })
    };
    assert!(eventually(all_connected), "{:?}", members(&homes[2]));
    // The two that were told of the first one know each other by each other's own word, which
    // follows a connection.
    let signed_at = |address: &str| {
        let second = &members(&homes[2])[1];
        let new = second.known_addresses.iter().find(|known| known.address == address);
        new.is_some_and(|known| known.origins.contains(&AddressOrigin::Signed))
    };
    assert!(eventually(|| signed_at(&addresses[1])), "{:?}", members(&homes[2]));
    let shown = program.run(&homes[1], ["members", "--long"]).ok();
    assert!(shown.contains(&format!("{} (added here", addresses[0])), "{shown}");
}
