//! A full disk: at the start and in the middle of a round the daemon stops with its own exit code, loses nothing, and
//! goes on when there is room.

use std::time::Duration;

use fedshield_tests::{Daemon, Federation, Program, SmallDisk, Terms, Work, eventually, make_home};
use fedshieldd::control::api::{ErrorCode, RoundOutcome};

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
    // There is a home, and no room for the first start, which makes journal, store and objects.
    disk.fill();
    program.run(&home, ["daemon"]).fails(code, &["no space left", "make room"]);
    disk.make_room();
    let mut daemon = Daemon::start(&program, &home);
    assert!(eventually(|| daemon.status().is_some()), "the daemon answers");
    program.run(&home, ["stop"]).ok();
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
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
        let code = victim.wait();
        assert_eq!(code, Some(i32::from(ErrorCode::DiskFull.exit_code())), "{}", victim.tail());
        let log = victim.log();
        assert!(log.contains("no space left") && !log.contains("panicked"), "{log}");
        let before = federation.daemons[0].ledger().len() as u64;
        // As long as the disk is full it does not start either, and says why.
        let run = program.run(&federation.daemons[VICTIM].home, ["daemon"]);
        eprintln!("full in {phase}, start on the full disk: exit {}", run.code);
        assert!(run.code == i32::from(ErrorCode::DiskFull.exit_code()), "{run:?}");
        disk.make_room();
        federation.restart(VICTIM);
        federation.wait_until("it takes part again", |daemons| {
            let rounds = daemons[0].rounds();
            rounds.iter().any(|report| {
                report.round.0 > before
                    && report.outcome == RoundOutcome::Applied
                    && report.contributors.iter().any(|name| name == "m3")
            })
        });
        round = federation.daemons[0].rounds().last().map_or(0, |report| report.round.0);
        federation.wait_until("it has all records", |daemons| {
            daemons[VICTIM].ledger().len() as u64 > round
        });
    }
    let home = federation.daemons[VICTIM].home.clone();
    program.run(&home, ["ledger", "verify"]).ok();
}
