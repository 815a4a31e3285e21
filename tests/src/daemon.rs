//! One daemon process, its log, and ways to end it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use fedshield_protocol::wire::CertifiedRecord;
use fedshieldd::control::ControlClient;
use fedshieldd::control::api::{NodeStatus, RoundReport};
use fedshieldd::home::Home;

use crate::{Program, Step};

/// Capacity of the queue of log lines that the test has not read; far more than a daemon writes in
/// any test.
const MAX_UNREAD_LINES: usize = 1 << 16;

/// A daemon under test; killed when dropped.
pub struct Daemon {
    /// Its home folder.
    pub home: PathBuf,
    child: Option<Child>,
    lines: Receiver<String>,
    log: Vec<String>,
}

impl Daemon {
    /// Starts the daemon of `home`.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start(program: &Program, home: &Path) -> Self {
        Self::start_with(program, home, &[])
    }

    /// Starts the daemon of `home` with other settings, `key=value`.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start_with(program: &Program, home: &Path, settings: &[&str]) -> Self {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        Self::spawn(program, home, &["daemon"], &settings.collect::<Vec<_>>())
    }

    /// Starts the daemon of `home` with further arguments for `daemon`.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start_with_arguments(program: &Program, home: &Path, arguments: &[&str]) -> Self {
        Self::spawn(program, home, &["daemon"], arguments)
    }

    /// Starts the `fedshieldd` program on `home` with these arguments.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start_service(program: &Program, home: &Path, arguments: &[&str]) -> Self {
        Self::spawn(program, home, &[], arguments)
    }

    fn spawn(program: &Program, home: &Path, before: &[&str], arguments: &[&str]) -> Self {
        let mut command = program.command(home);
        command.args(before);
        command.args(["--set", "log.format=json", "--set", "log.level=info"]);
        command.args(arguments);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let stderr = child.stderr.take().expect("standard error is piped");
        let (sender, lines) = sync_channel(MAX_UNREAD_LINES);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { home: home.to_owned(), child: Some(child), lines, log: Vec::new() }
    }

    /// The control socket's client.
    pub fn control(&self) -> ControlClient {
        ControlClient::new(Home::new(&self.home).control_socket())
    }

    /// The status, if it answers.
    pub fn status(&self) -> Option<NodeStatus> {
        block_on(self.control().status())
    }

    /// The finished rounds, if it answers.
    pub fn rounds(&self) -> Vec<RoundReport> {
        block_on(self.control().rounds()).unwrap_or_default()
    }

    /// The ledger, if it answers.
    pub fn ledger(&self) -> Vec<CertifiedRecord> {
        let bytes = block_on(self.control().ledger()).unwrap_or_default();
        fedshield_protocol::ledger::decode(&bytes).unwrap_or_default()
    }

    /// Waits for a line of the log that contains all of `words`.
    ///
    /// # Panics
    /// After `limit` without it.
    #[track_caller]
    pub fn wait_for_log(&mut self, words: &[&str], limit: Duration) {
        let found = |line: &str| words.iter().all(|word| line.contains(word)).then_some(());
        if self.find_line(found, limit).is_none() {
            let tail = self.tail();
            panic!("{words:?} is not in the log of {}:\n{tail}", self.home.display());
        }
    }

    /// Waits for a step in the log that `wanted` accepts.
    ///
    /// # Panics
    /// After `limit` without it.
    #[track_caller]
    pub fn wait_for_step(&mut self, wanted: impl Fn(&Step) -> bool, limit: Duration) -> Step {
        let found = |line: &str| Step::of_line(line).filter(|step| wanted(step));
        match self.find_line(found, limit) {
            Some(step) => step,
            None => {
                let tail = self.tail();
                panic!("no such step in the log of {}:\n{tail}", self.home.display());
            }
        }
    }

    /// The last step in the log, for instance the one in which the daemon was killed.
    pub fn last_step(&mut self) -> Option<Step> {
        self.log.extend(self.lines.try_iter());
        self.log.iter().rev().find_map(|line| Step::of_line(line))
    }

    fn find_line<T>(&mut self, find: impl Fn(&str) -> Option<T>, limit: Duration) -> Option<T> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = find(&line);
                    self.log.push(line);
                    if found.is_some() {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Sends SIGKILL at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only if the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.rest_of_log();
    }

    /// Waits for the process to end by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let status = self.child.take()?.wait().ok()?;
        self.rest_of_log();
        status.code()
    }

    /// The reader ends with the pipe: lines that were still in it when the process ended belong to
    /// the log.
    fn rest_of_log(&mut self) {
        while let Ok(line) = self.lines.recv() {
            self.log.push(line);
        }
    }

    /// Waits for the process to end by itself; its exit code, or `None` if it still ran at the
    /// limit and was killed.
    pub fn wait_within(&mut self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.child.as_mut()?.try_wait().ok()?.is_some() {
                return self.wait();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }

    /// Sends a signal by its name, for instance `TERM`.
    ///
    /// # Panics
    /// If the process does not run.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("the daemon runs").id();
        crate::signal(id, name);
    }

    /// The whole log so far.
    pub fn log(&mut self) -> String {
        self.log.extend(self.lines.try_iter());
        self.log.join("\n")
    }

    /// The most memory that the process has had so far, as the system counts it; 0 where it does not
    /// say.
    ///
    /// # Panics
    /// If the process does not run.
    pub fn peak_memory_kib(&self) -> u64 {
        let id = self.child.as_ref().expect("the daemon runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The last 40 lines of the log.
    pub fn tail(&mut self) -> String {
        self.log.extend(self.lines.try_iter());
        let skip = self.log.len().saturating_sub(40);
        self.log[skip..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs one request to the control socket; `None` if there is no answer within ten seconds.
fn block_on<T, E>(question: impl Future<Output = Result<T, E>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(10), question).await.ok()?.ok()
    })
}
