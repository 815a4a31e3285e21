//! Runs the program in a process group of its own, so that its child processes end with it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use fedshield_protocol::hidden::is_hidden;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio_util::sync::CancellationToken;

use super::{CommandSettings, guard};

/// Longest line that is kept whole, in bytes; longer ones are split.
const LINE_BYTES: u64 = 16 * 1024;
/// Lines that may be queued; the program blocks when there are more.
const LINES_WAITING: usize = 256;
/// How often cancellation and timeout are checked.
const TICK: Duration = Duration::from_millis(50);
/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long output is read after the end, from children that the program left.
const DRAIN: Duration = Duration::from_secs(2);
/// Number of lines of standard error that an error message repeats.
const LAST_LINES: usize = 5;

/// Why there is no result.
pub(super) enum End {
    Cancelled,
    Failed(String),
}

pub(super) struct Process<'a> {
    pub(super) settings: &'a CommandSettings,
    pub(super) argument: &'a Path,
}

enum Line {
    Out(String),
    Err(String),
}

impl Process<'_> {
    /// Waits for the program. `on_line` gets each line of its standard output and ends the program
    /// by returning false; its standard error is logged.
    pub(super) fn run(
        &self,
        cancel: &CancellationToken,
        on_line: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), End> {
        let mut group = self.start()?;
        let (sender, lines) = sync_channel(LINES_WAITING);
        if let Some(out) = group.child.stdout.take() {
            read(out, sender.clone(), Line::Out);
        }
        if let Some(err) = group.child.stderr.take() {
            read(err, sender, Line::Err);
        }
        let mut output = Output { lines, last: VecDeque::new(), on_line };
        let result = self.wait(&mut group.child, cancel, &mut output);
        // Also after success: remaining children would hold memory or a GPU.
        group.end();
        let status = result?;
        output.drain();
        if status.success() {
            return Ok(());
        }
        let last: Vec<String> = output.last.into();
        Err(End::Failed(format!("{status}; its last output: {}", last.join(" | "))))
    }

    fn start(&self) -> Result<Group, End> {
        let [program, arguments @ ..] = self.settings.program.as_slice() else {
            return Err(End::Failed("no program is named".to_owned()));
        };
        let mut guard = guard::start()
            .map_err(|error| End::Failed(format!("its guard cannot be started: {error}")))?;
        let child = Command::new(program)
            .args(arguments)
            .arg(self.argument)
            .current_dir(&self.settings.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(guard.as_ref().map_or(0, number))
            .spawn();
        match child {
            Ok(child) => Ok(Group { child, guard }),
            Err(error) => {
                if let Some(guard) = &mut guard {
                    dismiss(guard);
                }
                Err(End::Failed(format!("cannot be started: {error}")))
            }
        }
    }

    fn wait(
        &self,
        child: &mut Child,
        cancel: &CancellationToken,
        output: &mut Output<'_>,
    ) -> Result<ExitStatus, End> {
        let end = Instant::now() + self.settings.timeout;
        loop {
            if !output.next(TICK) {
                return Err(End::Failed("ended, because its loss is not a number".to_owned()));
            }
            if cancel.is_cancelled() {
                return Err(End::Cancelled);
            }
            if Instant::now() >= end {
                let seconds = self.settings.timeout.as_secs();
                return Err(End::Failed(format!(
                    "took longer than {seconds} s and was ended; see `training.command_timeout_s`"
                )));
            }
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(error) => return Err(End::Failed(format!("cannot be waited for: {error}"))),
            }
        }
    }
}

struct Output<'a> {
    lines: Receiver<Line>,
    last: VecDeque<String>,
    on_line: &'a mut dyn FnMut(&str) -> bool,
}

impl Output<'_> {
    /// Handles lines, waiting at most `wait` for the first; false if one of them ends the program.
    fn next(&mut self, wait: Duration) -> bool {
        let mut line = match self.lines.recv_timeout(wait) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait);
                None
            }
        };
        while let Some(next) = line {
            if !self.handle(next) {
                return false;
            }
            line = self.lines.try_recv().ok();
        }
        true
    }

    fn handle(&mut self, line: Line) -> bool {
        match line {
            Line::Out(text) => (self.on_line)(&text),
            Line::Err(text) => {
                tracing::info!(target: "trainer", "{text}");
                if self.last.len() == LAST_LINES {
                    self.last.pop_front();
                }
                self.last.push_back(text);
                true
            }
        }
    }

    /// Handles the lines that were written before the end.
    fn drain(&mut self) {
        let end = Instant::now() + DRAIN;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.handle(line);
        }
    }
}

/// Reads lines on a thread of its own, until end of file or until the receiver is dropped.
fn read(
    source: impl Read + Send + 'static,
    sender: SyncSender<Line>,
    kind: impl Fn(String) -> Line + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&bytes);
            let text: String = text.trim_end().chars().filter(|c| !is_hidden(*c)).collect();
            if !text.is_empty() && sender.send(kind(text)).is_err() {
                return;
            }
        }
    });
}

/// The program, its child processes, and the guard.
struct Group {
    child: Child,
    guard: Option<Child>,
}

impl Group {
    /// Sends SIGTERM to the whole group, and SIGKILL to what remains.
    fn end(mut self) {
        let leader = Pid::from_child(self.guard.as_ref().unwrap_or(&self.child));
        // Fails only if no process is left.
        let _ = kill_process_group(leader, Signal::TERM);
        let end = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(TICK);
        }
        let _ = kill_process_group(leader, Signal::KILL);
        let _ = self.child.wait();
        if let Some(guard) = &mut self.guard {
            dismiss(guard);
        }
    }
}

fn dismiss(guard: &mut Child) {
    let _ = guard.kill();
    let _ = guard.wait();
}

/// The id of the group that a process leads.
fn number(leader: &Child) -> i32 {
    Pid::from_child(leader).as_raw_nonzero().get()
}
