//! Ends the program when the daemon is gone and can no longer do so, for instance because it was
//! killed.
//!
//! The guard is this program again, selected by an environment variable, in a process of its own,
//! so that it survives the daemon. It leads the process group of the trainer, so that the group's
//! id stays allocated as long as signals may be sent to it. Its standard input is a pipe whose
//! other end only the daemon holds: however the daemon ends, the pipe is closed.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Signal, getpgrp, getpid, kill_process_group};

/// The environment variable that makes a child a guard.
const VARIABLE: &str = "FEDSHIELD_GUARD_TRAINER";

static ANSWERS: AtomicBool = AtomicBool::new(false);

/// In a guard, waits for the daemon's end, ends the group and does not return. Otherwise it notes
/// that this program can be started as a guard, and returns.
pub(crate) fn answer() {
    if std::env::var_os(VARIABLE).is_none() {
        ANSWERS.store(true, Ordering::Relaxed);
        return;
    }
    // An error counts as the end, too.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    // Not the guard's own group if a user has set the variable by hand.
    if getpgrp() == getpid() {
        // Not SIGTERM first: it would end the guard, and processes that ignore it would stay.
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    std::process::exit(0)
}

/// Starts a guard as the leader of a new process group. `None` if [`answer`] was not called, as in
/// tests of the library; the program then leads its own group and ends at its next progress line.
pub(super) fn start() -> io::Result<Option<Child>> {
    use std::os::unix::process::CommandExt;
    if !ANSWERS.load(Ordering::Relaxed) {
        return Ok(None);
    }
    Command::new(std::env::current_exe()?)
        .env(VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map(Some)
}
