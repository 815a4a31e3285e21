//! Ctrl-C on the demo: its own exit code, and no daemon stays behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fedshield_tests::{Program, eventually, signal};
use fedshieldd::control::api::ErrorCode;

#[test]
fn an_interrupted_demo_stops_its_daemons() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let out = folder.path().join("out");
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut demo = program
        .command(folder.path())
        .args(["demo", "--members", "3", "--rounds", "500", "--out"])
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let homes = out.join("homes");
    let stderr = demo.stderr.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).collect::<Vec<_>>()
    });
    // As soon as the daemons answer, it is in the middle of founding.
    assert!(eventually(|| sockets(&homes) == 3), "three daemons run in {}", homes.display());
    assert_eq!(daemons_of(&homes), 3);
    signal(demo.id(), "INT");
    let code = demo.wait().expect("it ends").code();
    let text = reader.join().expect("it was read").join("\n");
    assert_eq!(code, Some(i32::from(ErrorCode::Interrupted.exit_code())), "{text}");
    assert_eq!(code, Some(130));
    assert!(text.contains("interrupted") && text.contains("stopping the daemons"), "{text}");
    assert_eq!(daemons_of(&homes), 0, "{text}");
}

fn sockets(homes: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(homes).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().join("control.sock").exists()).count()
}

/// Processes with a home in `homes` on their command line.
fn daemons_of(homes: &std::path::Path) -> usize {
    let output = Command::new("ps").args(["-eo", "args"]).output().expect("ps runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = homes.display().to_string();
    text.lines().filter(|line| line.contains("daemon") && line.contains(&wanted)).count()
}
