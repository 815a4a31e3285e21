//! Ends the program when the daemon is gone and could not do it any more: killed, for instance.
//!
//! The guard is this program again, told by an environment variable, as a process of its own, because nobody else is left
//! then. It leads the process group that the program runs in, so that the group's number stays taken as long as anybody may
//! send it a signal. Its standard input is a pipe that only the daemon holds: however the daemon ends, the pipe does.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Signal, getpgrp, getpid, kill_process_group};

/// Tells a child that it is a guard.
const VARIABLE: &str = "FEDSHIELD_GUARD_TRAINER";

static ANSWERS: AtomicBool = AtomicBool::new(false);

/// In a guard, waits for the daemon's end, ends the group and does not return; else it notes that this program can be
/// started as a guard, and returns.
pub(crate) fn answer() {
    if std::env::var_os(VARIABLE).is_none() {
        ANSWERS.store(true, Ordering::Relaxed);
        return;
    }
    // An error is an end as well.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    // Somebody else's group, if a person has set the variable.
    if getpgrp() == getpid() {
        // Not SIGTERM first: it would end the guard, and who does not heed it would stay.
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    std::process::exit(0)
}

/// Starts a guard, the first in a new process group. None without [`answer`], as in tests of the library; the program then
/// leads its own group and ends at its next progress line.
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
