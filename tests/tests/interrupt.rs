//! Ctrl-C on the demo: its own exit code, and no daemon stays behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fedshield_tests::{Program, Work, eventually, signal};
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

#[test]
fn an_interrupted_check_of_data_says_so_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("data.jsonl");
    let line = format!("{{\"text\": \"{}\"}}\n", "what is the colour of snow ".repeat(2000));
    std::fs::write(&data, line.repeat(2000)).expect("it can be written");
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let check = program
        .command(folder.path())
        .args(["data", "check", "--template", "vicuna", "--model"])
        .arg(Work::model())
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the check starts");
    assert!(eventually(|| catches_interrupts(check.id())), "it never waits for signals");
    signal(check.id(), "INT");
    let output = check.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    // No report, and no bar where there is no terminal.
    assert!(output.stdout.is_empty());
    assert!(text.contains("interrupted") && text.lines().count() <= 3, "{text}");
    assert!(!text.contains('\r') && !text.contains(" of "), "{text}");
    let left = std::fs::read_dir(folder.path()).expect("it can be read").count();
    assert_eq!(left, 1, "only the data are there");
}

/// Whether a process has a handler for SIGINT.
fn catches_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Signal 2 is the second bit.
    mask & 0b10 != 0
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
