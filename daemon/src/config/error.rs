//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::durable::DiskError;
use crate::error_code::ErrorCode;

/// An error in the configuration, with its place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML, has an unknown key or a value of the wrong type; the message names
    /// line and key.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        message: String,
    },
    /// The value of a flag or environment variable cannot be parsed.
    #[error("{origin}: `{value}` does not fit: {reason}")]
    Value {
        /// The flag or variable.
        origin: String,
        /// The value as given.
        value: String,
        /// What is wrong with it, and the form that is expected.
        reason: String,
    },
    /// A flag names a key that does not exist.
    #[error("{origin}: there is no setting `{key}`; {near}")]
    UnknownKey {
        /// The flag.
        origin: String,
        /// The key.
        key: String,
        /// Keys that exist: those of the same section, or all.
        near: String,
    },
    /// A value is out of its range.
    #[error("`{key}`: {reason}")]
    Range {
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A setting that has no default is missing.
    #[error("`{key}` is missing: {hint}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What to write in the file.
        hint: &'static str,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl ConfigError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Disk(DiskError::Full { .. } | DiskError::ReadOnly { .. }) => ErrorCode::DiskFull,
            // A file that cannot be read is a configuration that cannot be used.
            Self::Disk(DiskError::Io { .. } | DiskError::Sync { .. })
            | Self::File { .. }
            | Self::Value { .. }
            | Self::UnknownKey { .. }
            | Self::Range { .. }
            | Self::Missing { .. } => ErrorCode::ConfigInvalid,
        }
    }
}
