//! What systemd sees: readiness, the watchdog's pulse and an orderly stop, on a notification
//! socket.

use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use fedshield_tests::{Daemon, Program, Work, eventually, make_home, signal};

/// Takes messages until one of them has the line.
fn wait_for(socket: &UnixDatagram, line: &str) {
    let mut heard = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let length = match socket.recv(&mut bytes) {
            Ok(length) => length,
            Err(error) => panic!("{line} did not come ({error}), but {heard:?}"),
        };
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.lines().any(|part| part == line) {
            return;
        }
        heard.push(text);
    }
}

#[test]
fn systemd_is_told() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    socket.set_read_timeout(Some(Duration::from_secs(120))).expect("it takes a limit");
    let plain = Program::new(env!("CARGO_BIN_EXE_fedshield-node"));
    let program = plain
        .clone()
        .with("NOTIFY_SOCKET", path.display().to_string())
        .with("WATCHDOG_USEC", "300000");
    let home = folder.path().join("node");
    let cli = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    make_home(&cli, &home, "node", &Work::domains()[0]);

    let mut daemon = Daemon::start_service(&program, &home, &[]);
    wait_for(&socket, "READY=1");
    assert!(daemon.status().is_some(), "a node that is ready answers");
    for _ in 0..3 {
        wait_for(&socket, "WATCHDOG=1");
    }
    daemon.signal("TERM");
    wait_for(&socket, "STOPPING=1");
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
}

/// The reader of its log is gone, as after a crash of a supervisor: that must not keep the node
/// from stopping.
#[test]
fn a_node_without_a_reader_of_its_log_stops() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    socket.set_read_timeout(Some(Duration::from_secs(120))).expect("it takes a limit");
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield-node"))
        .with("NOTIFY_SOCKET", path.display().to_string());
    let home = folder.path().join("node");
    let cli = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    make_home(&cli, &home, "node", &Work::domains()[0]);

    let mut command = program.command(&home);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the daemon starts");
    wait_for(&socket, "READY=1");
    drop(child.stderr.take());
    signal(child.id(), "TERM");
    let child = RefCell::new(child);
    let stopped = eventually(|| child.borrow_mut().try_wait().is_ok_and(|ended| ended.is_some()));
    let mut child = child.into_inner();
    if !stopped {
        child.kill().expect("it can be killed");
    }
    let ended = child.wait().expect("it has ended");
    assert_eq!(ended.code(), Some(0), "{ended}");
}

#[test]
fn a_node_that_cannot_start_is_never_ready() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the socket can be made");
    socket.set_nonblocking(true).expect("it need not wait");
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield-node"))
        .with("NOTIFY_SOCKET", path.display().to_string());
    let run = program.run(&folder.path().join("no-home"), Vec::<String>::new());
    assert_ne!(run.code, 0);
    let mut bytes = [0; 4096];
    assert!(socket.recv(&mut bytes).is_err(), "nothing was said");
}
