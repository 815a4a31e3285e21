//! A home that was copied and runs twice: both copies report it and are not ready; the others name
//! the member.

use std::path::Path;

use fedshield_tests::{Daemon, Federation, Program, Terms};
use fedshieldd::control::api::{Condition, Severity};

/// As `cp -r` or a snapshot of the machine would, with the daemon running.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the home can be read").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("it has a kind"));
        let name = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&path, &name);
        } else if kind.is_file() {
            // What is erased meanwhile is not in a copy either.
            let _ = std::fs::copy(&path, &name);
        }
    }
}

fn condition(daemon: &Daemon, name: &str) -> Option<Condition> {
    daemon.status()?.conditions.into_iter().find(|condition| condition.name == name)
}

#[test]
fn a_copied_home_that_runs_is_named_by_all() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: 3, rounds: 1, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    federation.wait_until_done();

    let home = federation.folder().join("copy");
    copy(&federation.daemons[1].home, &home);
    let second = Daemon::start_with(&program, &home, &["listen=/ip4/127.0.0.1/tcp/0"]);
    let is_told = |daemon: &Daemon| {
        condition(daemon, "second-copy").is_some_and(|it| it.severity == Severity::Blocking)
    };
    federation
        .wait_until("both copies are told", |daemons| is_told(&daemons[1]) && is_told(&second));
    federation.wait_until("the others are told by name", |daemons| {
        [0, 2].iter().all(|member| {
            condition(&daemons[*member], "member-runs-twice")
                .is_some_and(|it| it.message.contains("m1") && it.severity == Severity::Warning)
        })
    });
    for daemon in [&federation.daemons[0], &federation.daemons[2]] {
        assert_eq!(condition(daemon, "second-copy"), None);
    }
    let doctor = program.run(&home, ["doctor"]);
    let said = doctor.out + &doctor.err;
    assert!(said.contains("second copy") && said.contains("stop one of the two"), "{said}");
}
