//! One of four daemons is killed with SIGKILL, once in each phase: the others finish, it catches up and takes part again.

use std::time::Duration;

use fedshield_tests::{Federation, Program, Terms};
use fedshieldd::control::api::RoundOutcome;

/// Waits for the phase to come by in a log.
const LIMIT: Duration = Duration::from_secs(120);

fn kill_in(phase: &str, victim: usize) {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { rounds: 3, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    let name = format!("m{victim}");
    // In the second round, so that there is an adapter to fall behind of.
    federation.daemons[victim].wait_for_log(&["\"record\"", "\"round\":"], LIMIT);
    federation.daemons[victim].wait_for_log(&[&format!("\"phase\":\"{phase}\"")], LIMIT);
    federation.daemons[victim].kill();
    federation.wait_until("a round has ended without the killed member", |daemons| {
        let alive = daemons.iter().enumerate().filter(|(member, _)| *member != victim);
        alive.map(|(_, daemon)| daemon.rounds()).all(|rounds| rounds.len() >= 2)
    });
    federation.restart(victim);
    federation.wait_until_done();

    let rounds = federation.rounds();
    let applied = |reports: &[fedshieldd::control::api::RoundReport]| {
        reports.iter().filter(|report| report.outcome == RoundOutcome::Applied).count()
    };
    for (member, reports) in rounds.iter().enumerate() {
        // The restarted member has no report of a round that it slept through, but the same record.
        if member != victim {
            assert_eq!(applied(reports), 3, "member {member}: {reports:#?}");
        }
        let last = reports.last().expect("there are rounds");
        assert_eq!(last.adapter_digest, rounds[0].last().and_then(|r| r.adapter_digest));
    }
    let last = rounds[0].last().expect("there are rounds");
    assert!(last.contributors.contains(&name), "{name} takes part again: {last:#?}");
    for daemon in &federation.daemons {
        program.run(&daemon.home, ["ledger", "verify"]).ok();
    }
}

#[test]
fn killed_while_it_trains() {
    kill_in("commit", 1);
}

#[test]
fn killed_while_updates_travel() {
    kill_in("transfer", 2);
}

#[test]
fn killed_while_the_committee_adds() {
    kill_in("aggregate", 0);
}

#[test]
fn killed_while_members_vote() {
    kill_in("certify", 3);
}

#[test]
fn killed_while_partial_decryptions_travel() {
    kill_in("decrypt", 1);
}

#[test]
fn killed_while_the_sum_is_opened() {
    kill_in("combine", 2);
}

#[test]
fn killed_while_the_record_is_signed() {
    kill_in("record", 0);
}
