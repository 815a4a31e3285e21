//! Runs the command line as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program under test.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    environment: Vec<(String, String)>,
}

/// What one call printed.
#[derive(Debug, Clone)]
pub struct Run {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Program {
    /// The program at `path`: `env!("CARGO_BIN_EXE_fedshield")`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), environment: Vec::new() }
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// A call on a home folder, not yet run.
    pub fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FEDSHIELD_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("NO_COLOR", "1").arg("--home").arg(home).stdin(Stdio::null());
        command
    }

    /// Runs a call to its end.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn run<I, S>(&self, home: &Path, args: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let output = self.command(home).args(args).output().expect("the program starts");
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Standard output of a call that must succeed.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.out
    }

    /// Checks a call that must fail: its exit code, and words that its message must contain.
    ///
    /// # Panics
    /// If it succeeded, failed otherwise, or gave another message.
    #[track_caller]
    pub fn fails(self, code: u8, words: &[&str]) {
        assert_eq!(self.code, i32::from(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in:\n{}", self.err);
        }
    }
}

/// Sends a signal by its name to a process that a test started.
///
/// # Panics
/// If there is no such process.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), id.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {id}");
}
