//! A daemon that is killed leaves no program of `trainer = "command"` running, nor that program's
//! children; the program's input files stay in the home in plaintext until the next start.

use std::path::Path;

use fedshield_tests::{Daemon, Federation, Program, Terms, eventually};

/// A process that has ended and that nobody reaps yet has no command line any more.
fn runs(id: u32) -> bool {
    std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The process that the stand-in started, once it has noted it.
fn child(home: &Path) -> Option<u32> {
    std::fs::read_to_string(home.join("trainer-child")).ok()?.parse().ok()
}

#[test]
fn a_killed_daemon_takes_its_trainer_along() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let trainer = format!("training.command={},hang", env!("CARGO_BIN_EXE_stand-in-trainer"));
    // The round waits for this member: nothing but its own end may end the trainer.
    let terms = Terms { members: 3, rounds: 1, phase_ms: 300_000 };
    let mut federation = Federation::found_with(&program, &terms, |member| match member {
        2 => vec!["training.trainer=command".to_owned(), trainer.clone()],
        _ => Vec::new(),
    });
    let home = federation.daemons[2].home.clone();
    federation.wait_until("the trainer runs", |_| child(&home).is_some_and(runs));
    let id = child(&home).expect("it was noted");
    federation.daemons[2].kill();
    assert!(eventually(|| !runs(id)), "process {id} outlives the daemon");
    let work = home.join("training/command");
    let examples = std::fs::metadata(work.join("round/train.jsonl")).expect("it was written");
    assert!(examples.len() > 0);
    // Also if the next daemon trains by itself.
    federation.daemons[2] = Daemon::start(&program, &home);
    let left = || std::fs::read_dir(&work).map_or(0, Iterator::count);
    assert!(eventually(|| left() == 0), "plaintext training data are still there");
}
