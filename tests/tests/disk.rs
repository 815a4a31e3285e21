//! A full disk: at the start and in the middle of a round the daemon waits, reports it, loses
//! nothing, and continues by itself when there is free space.

use std::time::Duration;

use fedshield_tests::{Daemon, Federation, Program, SmallDisk, Terms, Work, eventually, make_home};
use fedshieldd::control::api::{ErrorCode, RoundOutcome, Severity};

const LIMIT: Duration = Duration::from_secs(120);
const VICTIM: usize = 3;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fedshield"))
}

#[test]
fn full_from_the_start() {
    let Some(disk) = SmallDisk::new(8 << 10) else { return };
    let program = program();
    let code = ErrorCode::DiskFull.exit_code();
    // Nothing can be made.
    disk.fill();
    let home = disk.path().join("node");
    let init = ["init", "--no-passphrase", "--name", "node"];
    program.run(&home, init).fails(code, &["space"]);
    disk.make_room();
    make_home(&program, &home, "node", &Work::domains()[0]);
    // There is a home, but no space for the first start, which makes journal, store and objects.
    disk.fill();
    let mut daemon = Daemon::start(&program, &home);
    assert!(eventually(|| waits(&daemon)), "{}", daemon.tail());
    program.run(&home, ["doctor"]).fails(ErrorCode::WrongState.exit_code(), &["disk-full"]);
    disk.make_room();
    daemon.wait_for_log(&["listening"], LIMIT);
    assert!(!waits(&daemon), "{:?}", daemon.status());
    program.run(&home, ["stop"]).ok();
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
}

/// Whether it reports that it waits for free space.
fn waits(daemon: &Daemon) -> bool {
    let conditions = daemon.status().map(|status| status.conditions).unwrap_or_default();
    conditions.iter().any(|it| it.name == "disk-full" && it.severity == Severity::Blocking)
}

#[test]
fn full_in_the_middle_of_a_round() {
    let Some(disk) = SmallDisk::new(64 << 10) else { return };
    let program = program();
    let terms = Terms { rounds: 1000, ..Terms::default() };
    let mut federation = Federation::found_at(&program, &terms, |member| {
        (member == VICTIM).then(|| disk.path().to_owned())
    });
    let mut round = 0;
    for phase in ["commit", "aggregate", "decrypt"] {
        let victim = &mut federation.daemons[VICTIM];
        let begins = |step: &fedshield_tests::Step| step.round > round && step.word == phase;
        victim.wait_for_step(begins, LIMIT);
        disk.fill();
        federation.wait_until("it waits for room", |daemons| waits(&daemons[VICTIM]));
        let before = federation.daemons[0].ledger().len() as u64;
        let home = federation.daemons[VICTIM].home.clone();
        program.run(&home, ["doctor"]).fails(ErrorCode::WrongState.exit_code(), &["disk-full"]);
        disk.make_room();
        federation.wait_until("it takes part again", |daemons| {
            let rounds = daemons[0].rounds();
            rounds.iter().any(|report| {
                report.round.0 > before
                    && report.outcome == RoundOutcome::Applied
                    && report.contributors.iter().any(|name| name == "m3")
            })
        });
        federation.wait_until("it takes back what it said", |daemons| !waits(&daemons[VICTIM]));
        round = federation.daemons[0].rounds().last().map_or(0, |report| report.round.0);
        federation.wait_until("it has all records", |daemons| {
            daemons[VICTIM].ledger().len() as u64 > round
        });
    }
    // One process all the time. One that waits stops when it is asked, and the next goes on where
    // it was.
    disk.fill();
    federation.wait_until("it waits for room", |daemons| waits(&daemons[VICTIM]));
    // What it met first: a file that it could not write, or an object that it could not fetch. The
    // log is written by a thread of its own and may come after the status.
    let named = ["no space left on the disk", "are free on the disk"];
    let is_named = || {
        let log = federation.daemons[VICTIM].log();
        named.iter().any(|words| log.contains(words))
    };
    assert!(eventually(is_named), "{}", federation.daemons[VICTIM].log());
    let victim = &mut federation.daemons[VICTIM];
    let log = victim.log();
    assert!(!log.contains("panicked"), "{log}");
    victim.signal("TERM");
    assert_eq!(victim.wait(), Some(0), "{}", victim.tail());
    disk.make_room();
    federation.restart(VICTIM);
    let before = federation.daemons[0].ledger().len();
    federation
        .wait_until("it has what was missed", |daemons| daemons[VICTIM].ledger().len() > before);
    let status = federation.daemons[VICTIM].status().expect("it answers");
    assert_eq!(status.misbehaviour, Vec::<String>::new());
    let home = federation.daemons[VICTIM].home.clone();
    program.run(&home, ["ledger", "verify"]).ok();
}

/// There is space for journal and ledger, but not for what others send: only fetching stops.
#[test]
fn with_little_disk_space_nothing_is_fetched_and_the_node_continues() {
    let Some(disk) = SmallDisk::new(64 << 10) else { return };
    let program = program();
    let terms = Terms { rounds: 1000, ..Terms::default() };
    let mut federation = Federation::found_at(&program, &terms, |member| {
        (member == VICTIM).then(|| disk.path().to_owned())
    });
    federation.wait_until("a round is applied", |daemons| !daemons[VICTIM].ledger().is_empty());
    disk.fill_but(6 << 20);
    let says = |daemon: &Daemon, word: &str| {
        let conditions = daemon.status().map(|status| status.conditions).unwrap_or_default();
        conditions.iter().any(|it| it.name == "disk-full" && it.message.contains(word))
    };
    federation.wait_until("it does not fetch", |daemons| {
        says(&daemons[VICTIM], "fetching has stopped: the next object needs")
    });
    let (before, own) = (federation.daemons[0].ledger().len(), federation.daemons[VICTIM].ledger());
    federation.wait_until("the others go on, and it follows", |daemons| {
        let ahead = daemons[0].ledger().len() > before + 1;
        ahead && daemons[VICTIM].ledger().len() > own.len()
    });
    disk.make_room();
    federation.wait_until("it takes back what it said", |daemons| !waits(&daemons[VICTIM]));
    let before = federation.daemons[0].ledger().len() as u64;
    federation.wait_until("it takes part again", |daemons| {
        let rounds = daemons[0].rounds();
        rounds.iter().any(|report| {
            report.round.0 > before && report.contributors.iter().any(|name| name == "m3")
        })
    });
    assert!(!federation.daemons[VICTIM].log().contains("panicked"));
}
