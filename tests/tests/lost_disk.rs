//! A member that loses its disk, or gets an old one back, in the middle of a round: it learns it
//! from the others, sits the round out and takes part again. What it signed before never accuses
//! it.
//!
//! Four members are f = 1 and a quorum of three. Another member is stopped while the disk is lost,
//! so that the round cannot end before the victim is back: two still answer it, and two decide
//! nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fedshield_tests::{Federation, Program, Step, Terms};
use fedshieldd::control::api::{RoundOutcome, RoundReport};
use fedshieldd::home::Home;

const LIMIT: Duration = Duration::from_secs(120);
const VICTIM: usize = 3;
const STOPPED: usize = 2;

/// A name, the phase in which it happens, and what it does to the home, of which there is also an
/// older copy of the journal.
type Loss = (&'static str, &'static str, fn(&Path, &Path));

const LOSSES: &[Loss] = &[
    ("the whole disk", "transfer", |home, other| {
        // What docs/OPERATING.md says to back up, and what any other member can give.
        let home = Home::new(home);
        let kept = [home.identity(), home.config()].map(|file| {
            let bytes = fs::read(&file).expect("it is there");
            (file, bytes)
        });
        fs::remove_dir_all(home.path()).expect("it can be removed");
        fs::create_dir(home.path()).expect("it can be made");
        for (file, bytes) in kept {
            fs::write(file, bytes).expect("it can be written");
        }
        let manifest = Home::new(other).manifest();
        fs::copy(manifest, home.manifest()).expect("it can be copied");
    }),
    ("the journal", "certify", |home, _| {
        fs::remove_file(Home::new(home).journal()).expect("it can be removed");
    }),
    ("all but an old journal", "decrypt", |home, _| {
        fs::copy(old_journal(home), Home::new(home).journal()).expect("it can be copied");
    }),
];

fn old_journal(home: &Path) -> std::path::PathBuf {
    home.with_extension("old-journal")
}

#[test]
fn a_lost_disk_costs_its_member_the_round_and_nothing_else() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { rounds: 1000, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    let home = federation.daemons[VICTIM].home.clone();
    let witness = federation.daemons[0].home.clone();
    federation.daemons[VICTIM].wait_for_step(|step| step.word == "ended", LIMIT);
    fs::copy(Home::new(&home).journal(), old_journal(&home)).expect("it can be copied");
    for (what, phase, lose) in LOSSES {
        let round = (0..6)
            .find_map(|_| lose_in(&mut federation, phase, |home| lose(home, &witness)))
            .unwrap_or_else(|| panic!("{what}: the round was always over before"));
        eprintln!("{what} lost in {phase} of round {round}");
        takes_part_again(&mut federation, round);
    }
    // Nobody was accused of anything, and all have the same history.
    let last = federation.daemons.iter().map(|daemon| daemon.rounds().len()).min();
    let all = federation.rounds();
    let adapters = |rounds: &[RoundReport]| {
        let shared = rounds.iter().take(last.expect("there are daemons"));
        shared.map(|report| (report.round, report.adapter_digest)).collect::<Vec<_>>()
    };
    for (daemon, rounds) in federation.daemons.iter().zip(&all) {
        let status = daemon.status().expect("it answers");
        assert_eq!(status.misbehaviour, Vec::<String>::new());
        assert_eq!(adapters(rounds), adapters(&all[0]));
        program.run(&daemon.home, ["ledger", "verify"]).ok();
    }
}

/// The victim loses something in the phase of a later round and starts again. Gives the round if it
/// found out in this round; `None` if the others were faster.
fn lose_in(federation: &mut Federation, phase: &str, lose: impl Fn(&Path)) -> Option<u64> {
    let before = federation.daemons[0].ledger().len() as u64;
    let begins = |step: &Step| step.round > before && step.word == phase;
    let round = federation.daemons[VICTIM].wait_for_step(begins, LIMIT).round;
    federation.daemons[STOPPED].signal("STOP");
    federation.daemons[VICTIM].kill();
    let home = federation.daemons[VICTIM].home.clone();
    lose(&home);
    federation.restart(VICTIM);
    federation.wait_until("it knows where it is", |daemons| {
        let status = daemons[VICTIM].status().and_then(|status| status.machine);
        status.is_some_and(|machine| machine.silent_through.is_some() || machine.round.0 > round)
    });
    let machine = federation.daemons[VICTIM].status().and_then(|status| status.machine);
    let silent = machine.and_then(|machine| machine.silent_through);
    federation.daemons[STOPPED].signal("CONT");
    silent.map(|silent| silent.0)
}

/// The round ends without the victim, and it contributes to a later one.
fn takes_part_again(federation: &mut Federation, round: u64) {
    federation.wait_until("the round ends without it and it takes part again", |daemons| {
        let rounds = daemons[0].rounds();
        let later = rounds.iter().any(|report| {
            report.round.0 > round
                && report.outcome == RoundOutcome::Applied
                && report.contributors.iter().any(|name| name == "m3")
        });
        later && daemons[VICTIM].ledger().len() as u64 > round
    });
}
