//! SIGHUP reads again what can be read again; a log that nobody reads holds up nothing.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fedshield_tests::{Daemon, Program, Work, eventually, make_home, signal};
use fedshieldd::control::ControlClient;
use fedshieldd::home::Home;

const LIMIT: Duration = Duration::from_secs(120);
/// Linux's `O_NONBLOCK`.
const NON_BLOCKING: i32 = 0o4000;

fn cli() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fedshield"))
}

fn home(folder: &Path) -> std::path::PathBuf {
    let home = folder.join("node");
    make_home(&cli(), &home, "node", &Work::domains()[0]);
    home
}

/// Replaces the line that begins with `start`.
fn set_line(file: &Path, start: &str, line: &str) {
    let text = fs::read_to_string(file).expect("the configuration can be read");
    assert!(text.lines().any(|old| old.starts_with(start)), "{start} is not in {text}");
    let lines = text.lines().map(|old| if old.starts_with(start) { line } else { old });
    fs::write(file, lines.collect::<Vec<_>>().join("\n") + "\n").expect("it can be written");
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path());
    let config = Home::new(&home).config();
    // Without the harness's own settings: these would win over the file. Whatever started the tests
    // may ignore hang-ups, `nohup` for instance; that would be inherited.
    let plain = cli().command(&home);
    let mut child = Command::new("env")
        .arg("--default-signal=HUP")
        .arg(plain.get_program())
        .args(plain.get_args())
        .arg("daemon")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(
        child.stderr.take().expect("standard error is piped"),
    ));
    let mut lines = lines.map_while(Result::ok);
    let mut wait_for = |word: &str| {
        let mut seen = Vec::new();
        for line in lines.by_ref() {
            let found = line.contains(word);
            seen.push(line);
            if found {
                return;
            }
        }
        panic!("{word} is not in the log:\n{}", seen.join("\n"));
    };
    wait_for("listening");

    set_line(&config, "level = ", "level = \"debug\"");
    signal(child.id(), "HUP");
    wait_for("reloaded");
    set_line(&config, "threads = ", "threads = 3");
    signal(child.id(), "HUP");
    wait_for("training.threads");
    let shown = cli().run(&home, ["status"]).ok();
    assert!(shown.contains("restart") && shown.contains("training.threads"), "{shown}");
    set_line(&config, "threads = ", "threads = -3");
    signal(child.id(), "HUP");
    wait_for("the settings in force stay");
    set_line(&config, "threads = ", "threads = 0");
    signal(child.id(), "HUP");
    wait_for("reloaded");
    let shown = cli().run(&home, ["status"]).ok();
    assert!(!shown.contains("restart"), "{shown}");

    cli().run(&home, ["stop"]).ok();
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// `nohup fedshieldd &`, and the terminal closes.
#[test]
fn a_hangup_that_was_ignored_when_the_node_started_stays_ignored() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path());
    let program = cli();
    let plain = program.command(&home);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program());
    command.args(plain.get_args()).arg("daemon").stdin(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("the daemon starts");
    let control = ControlClient::new(Home::new(&home).control_socket());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert!(eventually(|| runtime.block_on(control.status()).is_ok()), "the daemon answers");
    signal(child.id(), "HUP");
    signal(child.id(), "HUP");
    assert!(runtime.block_on(control.status()).is_ok(), "it runs on");
    cli().run(&home, ["stop"]).ok();
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0));
    let log = String::from_utf8_lossy(&ended.stderr);
    assert!(!log.contains("reloaded"), "{log}");
}

/// The reader of its log is stuck and the pipe is full: the node continues, and stops when it is
/// asked.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path());
    for ends_by_signal in [true, false] {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        // Another way into the same pipe, which alone does not block.
        let own = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let mut filler = OpenOptions::new()
            .write(true)
            .custom_flags(NON_BLOCKING)
            .open(own)
            .expect("the pipe can be opened again");
        let mut command = cli().command(&home);
        command.args(["daemon", "--set", "log.level=trace"]).stderr(writer);
        let mut child = command.spawn().expect("the daemon starts");
        drop(command);
        while filler.write(&[b'x'; 4096]).is_ok() {}
        while filler.write(b"x").is_ok() {}
        // It comes up and answers, with a full pipe from its first line on.
        let answers = || cli().run(&home, ["federation", "show"]).code == 40;
        assert!(eventually(answers), "the daemon answers");
        if ends_by_signal {
            signal(child.id(), "TERM");
        } else {
            cli().run(&home, ["stop"]).ok();
        }
        let cell = std::cell::RefCell::new(&mut child);
        let ended = eventually(|| cell.borrow_mut().try_wait().is_ok_and(|ended| ended.is_some()));
        if !ended {
            child.kill().expect("it can be killed");
        }
        assert_eq!(child.wait().expect("it has ended").code(), Some(0));
        drop((reader, filler));
    }
}

/// A failure at the start is told on the same standard error.
#[test]
fn a_node_that_cannot_start_ends_though_nobody_reads_why() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path());
    let held = Daemon::start(&cli(), &home);
    assert!(eventually(|| held.status().is_some()), "the daemon answers");
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    let own = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filler = OpenOptions::new()
        .write(true)
        .custom_flags(NON_BLOCKING)
        .open(own)
        .expect("the pipe can be opened again");
    while filler.write(&[b'x'; 4096]).is_ok() {}
    while filler.write(b"x").is_ok() {}
    for (program, arguments) in
        [(cli(), vec!["daemon"]), (Program::new(env!("CARGO_BIN_EXE_fedshield-node")), vec![])]
    {
        let mut command = program.command(&home);
        command.args(arguments).stderr(writer.try_clone().expect("it can be shared"));
        let mut child = command.spawn().expect("the daemon starts");
        let cell = std::cell::RefCell::new(&mut child);
        let ended = eventually(|| cell.borrow_mut().try_wait().is_ok_and(|ended| ended.is_some()));
        if !ended {
            child.kill().expect("it can be killed");
        }
        assert_eq!(child.wait().expect("it has ended").code(), Some(30));
    }
    drop((reader, LIMIT));
}
