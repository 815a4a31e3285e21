//! One of four daemons stops, is paused, or is killed: the others learn of it, report it, and
//! continue without waiting for timers that are far longer than this test; it returns and takes
//! part again. Without a quorum they report that.

use std::time::Duration;

use fedshield_protocol::wire::Leave;
use fedshield_tests::{Daemon, Federation, Program, Terms};
use fedshieldd::control::api::{NodeState, NodeStatus, RoundOutcome};

/// A commit timer of half an hour: a round that waits for it outlasts the test.
const TERMS: Terms = Terms { members: 4, rounds: 1000, phase_ms: 900_000 };
const LIMIT: Duration = Duration::from_secs(60);

/// How `seen_by` sees `member`.
fn left(seen_by: &Daemon, member: usize) -> Option<Leave> {
    seen_by.status()?.machine?.members.get(member)?.left
}

fn status(daemon: &Daemon) -> NodeStatus {
    daemon.status().expect("it answers")
}

/// Waits until two more rounds are applied, with or without an update of `member`.
#[track_caller]
fn go_on(federation: &mut Federation, by: usize, member: usize, contributed: bool) {
    let name = format!("m{member}");
    let before = federation.daemons[by].rounds().len();
    federation.wait_until("two more rounds are applied", |daemons| {
        let rounds = daemons[by].rounds();
        let applied = rounds.iter().skip(before + 1).filter(|round| {
            round.outcome == RoundOutcome::Applied
                && round.contributors.contains(&name) == contributed
        });
        applied.count() >= 2
    });
}

#[test]
fn a_member_that_stops_or_pauses_announces_it_and_the_rounds_continue() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut federation = Federation::found(&program, &TERMS);
    go_on(&mut federation, 0, 3, true);

    // A pause is reported when it takes effect, across a restart too, until the node is resumed.
    let home = federation.daemons[3].home.clone();
    let said = program.run(&home, ["pause"]).ok();
    assert!(said.contains("pauses after round") || said.contains("paused since"), "{said}");
    federation.wait_until("the others know of the pause", |daemons| {
        daemons[..3].iter().all(|daemon| left(daemon, 3) == Some(Leave::Paused))
            && status(&daemons[3]).state == NodeState::Paused
    });
    go_on(&mut federation, 0, 3, false);
    let text = program.run(&home, ["status"]).ok();
    assert!(text.contains("paused since") && !text.contains("to go"), "{text}");
    let doctor = program.run(&home, ["doctor"]);
    assert!(doctor.out.contains("paused since"), "{}", doctor.out);
    let pause = status(&federation.daemons[3]).pause.expect("it is paused");
    assert!(pause.by.is_some() && pause.after_round.is_none(), "{pause:?}");

    federation.daemons[3].signal("TERM");
    assert_eq!(federation.daemons[3].wait_within(LIMIT), Some(0));
    federation.wait_until("the others know of the stop", |daemons| {
        daemons[..3].iter().all(|daemon| left(daemon, 3) == Some(Leave::Stopped))
    });
    federation.restart(3);
    federation.wait_until("it is still paused", |daemons| {
        daemons[3].status().is_some_and(|status| status.state == NodeState::Paused)
    });
    assert_eq!(status(&federation.daemons[3]).pause, Some(pause));
    program.run(&home, ["resume"]).ok();
    go_on(&mut federation, 0, 3, true);
    assert_eq!(status(&federation.daemons[3]).pause, None);

    // Stopped by the command line while it takes part; then killed without a goodbye.
    program.run(&home, ["stop"]).ok();
    assert_eq!(federation.daemons[3].wait_within(LIMIT), Some(0));
    go_on(&mut federation, 0, 3, false);
    assert_eq!(left(&federation.daemons[0], 3), Some(Leave::Stopped));
    federation.restart(3);
    go_on(&mut federation, 0, 3, true);
    federation.daemons[3].kill();
    go_on(&mut federation, 0, 3, false);
    assert_eq!(left(&federation.daemons[0], 3), None);

    // Two of four are no quorum.
    federation.daemons[2].signal("TERM");
    federation.wait_until("the others say that they are no quorum", |daemons| {
        daemons[..2].iter().all(|daemon| {
            let status = status(daemon);
            status.conditions.iter().any(|it| it.name == "no-quorum" && it.message.contains("m2"))
                && status.waiting.is_some_and(|it| it.text == "no quorum: 2 of 3 needed")
        })
    });
    let text = program.run(&federation.daemons[0].home, ["status"]).ok();
    assert!(text.contains("no quorum: 2 of 3 needed") && !text.contains("to go"), "{text}");
    federation.restart(2);
    go_on(&mut federation, 0, 3, false);
}
