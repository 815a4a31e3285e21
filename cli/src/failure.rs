//! What a failed command reports: what happened, where, what to do next, and its exit code.

use std::fmt;
use std::path::Path;

use fedshield_protocol::hidden::harmless;
use fedshieldd::control::api::{ApiError, ErrorBody, ErrorCode};
use fedshieldd::durable::DiskError;
use fedshieldd::home::{Home, HomeError};

use crate::screen::Colours;

/// A failed command. The exit code is that of [`ErrorCode`], the same list as the daemon's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub code: ErrorCode,
    /// What happened.
    pub what: String,
    /// The file, folder, socket or flag it is about.
    pub place: Option<String>,
    /// What to do next.
    pub next: Option<String>,
}

impl Failure {
    /// A failure with the default next step of its code.
    pub fn new(code: ErrorCode, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), place: None, next: Some(code.hint().to_owned()) }
    }

    /// The same with the place it is about.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// The same with the next step for this very cause.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A file system operation that failed. A full disk has its own code.
    #[must_use]
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let failure = |code| Self::new(code, format!("cannot {doing}: {error}")).at(path.display());
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                failure(ErrorCode::DiskFull).next("free some space, then run the command again")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => failure(ErrorCode::DiskFull)
                .next("mount that disk for writing, then run the command again"),
            std::io::ErrorKind::NotFound => {
                failure(ErrorCode::InvalidRequest).next("check the path for a typing error")
            }
            std::io::ErrorKind::PermissionDenied => failure(ErrorCode::InvalidRequest)
                .next("run the command as the owner of this path, or choose another"),
            // The system's list of errors is open: what is not named above has no code of its own.
            _ => failure(ErrorCode::Internal),
        }
    }

    /// A file that could not be written.
    #[must_use]
    pub fn from_disk(error: &DiskError, path: &Path) -> Self {
        let failure = Self::new(error.code(), error.to_string()).at(path.display());
        match error {
            DiskError::Full { .. } => failure.next("free some space on that disk, then try again"),
            DiskError::ReadOnly { .. } => {
                failure.next("mount that disk for writing, then try again")
            }
            DiskError::Sync { .. } | DiskError::Io { .. } => failure,
        }
    }

    /// Refuses to write into a home as another user than its owner; outside a home the system
    /// decides.
    ///
    /// # Errors
    /// [`ErrorCode::WrongUser`], with the user to run it as.
    pub fn unless_writable(home: &Home, target: &Path) -> Result<(), Self> {
        if home.contains(target) {
            home.check_user()?;
        }
        Ok(())
    }

    /// The process's exit code; never 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.code.exit_code()
    }

    /// The human-readable text, without a line end. A reason may come from another organisation's
    /// node.
    #[must_use]
    pub fn render(&self, colours: Colours) -> String {
        let mut text = format!("{} {}", colours.bad("error:"), harmless(&self.what));
        if let Some(place) = &self.place {
            text.push_str(&format!("\n {} {}", colours.faint("where:"), harmless(place)));
        }
        if let Some(next) = &self.next {
            text.push_str(&format!("\n  {} {}", colours.faint("next:"), harmless(next)));
        }
        text
    }

    /// The same for programs: the error body of the control API.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let message = match &self.place {
            Some(place) => format!("{} ({place})", self.what),
            None => self.what.clone(),
        };
        ErrorBody { error: ApiError { code: self.code, message, hint: self.next.clone() } }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { code: error.code, what: error.message, place: None, next: error.hint }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colours::none()))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_what_next() {
        let failure = Failure::new(ErrorCode::DataUnreadable, "line 3 is not JSON")
            .at("bank.jsonl:3")
            .next("correct the line");
        assert_eq!(
            failure.to_string(),
            "error: line 3 is not JSON\n where: bank.jsonl:3\n  next: correct the line"
        );
        assert_eq!(failure.exit_code(), 22);
        let plain = Failure::new(ErrorCode::DataUnreadable, "line 3 is not JSON").to_string();
        assert!(plain.contains("next:"), "there is always a next step: {plain}");
        assert_eq!(failure.body().error.message, "line 3 is not JSON (bank.jsonl:3)");
    }

    #[test]
    fn a_reason_from_elsewhere_does_not_command_the_terminal() {
        let failure = Failure::new(ErrorCode::Refused, "no\x1b]0;owned\x07\x1b[2J\u{202e}");
        let text = failure.render(Colours::none());
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
        assert!(text.contains("no\u{fffd}]0;owned"), "{text:?}");
    }

    #[test]
    fn a_full_disk_keeps_its_own_exit_code() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Failure::io("write", Path::new("/x"), &full).exit_code(), 31);
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(Failure::io("read", Path::new("/x"), &missing).exit_code(), 2);
    }
}
