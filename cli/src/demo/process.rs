//! The demo's daemons: this program again, once for each home, stopped however the demo ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fedshieldd::control::ControlClient;
use fedshieldd::error_code::{ALL_CODES, ErrorCode};
use fedshieldd::home::Home;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::connection;
use crate::failure::Failure;

/// How long a daemon may take to answer after its start: it reads and digests the base model first.
const START_LIMIT: Duration = Duration::from_secs(300);
/// How long a daemon may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Lines of its log that are shown when a daemon dies.
const LOG_LINES: usize = 15;
const POLL: Duration = Duration::from_millis(100);

/// A running daemon.
pub struct Node {
    /// The member's name.
    pub name: String,
    home: Home,
    log: PathBuf,
    /// The daemon stops when this end closes: also when the demo itself is killed.
    stdin: Option<ChildStdin>,
    kill: Option<oneshot::Sender<()>>,
    waiter: JoinHandle<()>,
}

/// A daemon that ended without being asked to.
#[derive(Debug)]
pub struct Death {
    name: String,
    code: ErrorCode,
    status: String,
    log: PathBuf,
}

/// All daemons of the demo. Dropping it kills them.
pub struct Nodes {
    nodes: Vec<Node>,
    deaths: mpsc::Receiver<Death>,
    report: mpsc::Sender<Death>,
}

impl Nodes {
    /// No daemons yet.
    #[must_use]
    pub fn new() -> Self {
        let (report, deaths) = mpsc::channel(64);
        Self { nodes: Vec::new(), deaths, report }
    }

    /// Starts the daemon of `home`, with its output in `<home>/daemon.log`.
    ///
    /// # Errors
    /// If this program or the log file cannot be opened.
    pub fn start(&mut self, name: &str, home: &Path) -> Result<(), Failure> {
        let log = Home::new(home).daemon_log();
        let file =
            fs::File::create(&log).map_err(|error| Failure::io("write the log", &log, &error))?;
        let errors =
            file.try_clone().map_err(|error| Failure::io("write the log", &log, &error))?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::io("find this program", Path::new("itself"), &error))?;
        let mut command = Command::new(&program);
        // Settings of the user's own node must not change the demo's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FEDSHIELD_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["daemon", "--stop-with-stdin", "--home"])
            .arg(home)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(errors)
            // A Ctrl-C in the terminal goes to the demo alone, which stops the daemons in an
            // orderly way.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::io("start a daemon", &program, &error))?;
        let stdin = child.stdin.take();
        let (kill, killed) = oneshot::channel();
        let death = Death::of(name, &log);
        let waiter = tokio::spawn(wait(child, killed, death, self.report.clone()));
        self.nodes.push(Node {
            name: name.to_owned(),
            home: Home::new(home),
            log,
            stdin,
            kill: Some(kill),
            waiter,
        });
        Ok(())
    }

    /// The daemons in the order in which they were started, and a future that resolves when one of
    /// them ends by itself.
    pub fn split(&mut self) -> (&[Node], impl Future<Output = Failure>) {
        let deaths = &mut self.deaths;
        let death = async {
            match deaths.recv().await {
                Some(death) => death.failure(),
                // Cannot happen: this struct holds a sender.
                None => std::future::pending().await,
            }
        };
        (&self.nodes, death)
    }

    /// Stops all daemons: asks first, kills those that do not end in time.
    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            node.stdin = None;
        }
        for node in &mut self.nodes {
            if tokio::time::timeout(STOP_LIMIT, &mut node.waiter).await.is_err() {
                if let Some(kill) = node.kill.take() {
                    let _ = kill.send(());
                }
                let _ = (&mut node.waiter).await;
            }
        }
        self.nodes.clear();
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The client of its control socket.
    #[must_use]
    pub fn connection(&self) -> ControlClient {
        connection::to(&self.home)
    }

    /// Waits until it answers on its control socket.
    ///
    /// # Errors
    /// If it does not within the limit.
    pub async fn ready(&self) -> Result<(), Failure> {
        let daemon = self.connection();
        let answers = async {
            while daemon.status().await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_LIMIT, answers).await.map_err(|_| {
            Failure::new(ErrorCode::Timeout, format!("the daemon of {} does not answer", self.name))
                .at(self.log.display())
                .next(last_lines(&self.log))
        })
    }
}

impl Death {
    fn of(name: &str, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            code: ErrorCode::Internal,
            status: String::new(),
            log: log.to_path_buf(),
        }
    }

    fn failure(&self) -> Failure {
        Failure::new(
            self.code,
            format!("the daemon of {} ended by itself ({})", self.name, self.status),
        )
        .at(self.log.display())
        .next(last_lines(&self.log))
    }
}

async fn wait(
    mut child: Child,
    killed: oneshot::Receiver<()>,
    mut death: Death,
    report: mpsc::Sender<Death>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        Ok(()) = killed => {
            let _ = child.kill().await;
            return;
        }
    };
    match status {
        Ok(status) => {
            // The daemon's exit code tells what went wrong; the demo ends with the same.
            let known =
                ALL_CODES.into_iter().find(|c| Some(i32::from(c.exit_code())) == status.code());
            death.code = known.unwrap_or(ErrorCode::Internal);
            death.status = describe(status);
        }
        Err(error) => death.status = error.to_string(),
    }
    // Only the first death matters; nobody receives while the daemons are being stopped.
    let _ = report.try_send(death);
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}

/// The last lines of a log, for finding the cause.
fn last_lines(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().count();
    let last: Vec<&str> = text.lines().skip(lines.saturating_sub(LOG_LINES)).collect();
    if last.is_empty() {
        return "its log is empty".to_owned();
    }
    format!("read the log; it ends with\n    {}", last.join("\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("daemon.log");
        assert_eq!(last_lines(&log), "its log is empty");
        let lines: Vec<String> = (0..100).map(|line| format!("line {line}.")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        let shown = last_lines(&log);
        assert!(
            shown.contains("line 85.") && shown.contains("line 99.") && !shown.contains("line 84.")
        );
    }

    #[tokio::test]
    async fn a_child_that_ends_by_itself_is_reported_with_its_status() {
        let (report, mut deaths) = mpsc::channel(1);
        let child = Command::new("sh").args(["-c", "exit 22"]).spawn().unwrap();
        let (_kill, killed) = oneshot::channel();
        let death = Death::of("bank", Path::new("/nowhere"));
        wait(child, killed, death, report).await;
        let failure = deaths.recv().await.unwrap().failure();
        assert!(
            failure.what.contains("bank") && failure.what.contains("exit code 22"),
            "{failure}"
        );
        assert_eq!(failure.code, ErrorCode::DataUnreadable);
    }

    #[tokio::test]
    async fn a_child_that_does_not_stop_is_killed() {
        let (report, mut deaths) = mpsc::channel(1);
        let child = Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
        let (kill, killed) = oneshot::channel();
        let death = Death::of("bank", Path::new("/nowhere"));
        kill.send(()).unwrap();
        wait(child, killed, death, report).await;
        assert!(deaths.recv().await.is_none());
    }
}
