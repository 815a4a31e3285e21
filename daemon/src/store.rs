//! A node's store of finished rounds: the ledger, its own reports of them, and evidence of
//! misbehaviour.
//!
//! The system of record is three append-only files (`append_file`); each entry is on disk when the
//! call that appends it returns. sled holds an index over them (`index`), which can always be
//! rebuilt and whose failure stops nothing.

mod append_file;
mod aside;
mod checkpoint;
mod evidence;
mod first_version;
mod formats;
mod index;
mod ledger;

pub use append_file::Repair;
pub use checkpoint::CheckpointKey;
pub use evidence::{EvidenceEntry, KeptEvidence, Lift};
pub use ledger::{Ledger, Opened};

use std::path::{Path, PathBuf};

use crate::durable::DiskError;
use crate::error_code::ErrorCode;

/// Why the store cannot be used. Damage is not such an error: the valid part is used, the rest is
/// fetched from the other members.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A later version of the program wrote it.
    #[error("{}: {reason}. Nothing was changed", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What this version does not know.
        reason: String,
    },
    /// An earlier write failed in a way that leaves unknown what is on disk; only a restart can
    /// tell.
    #[error("{} failed before and takes nothing more until a restart", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// The home was opened for reading.
    #[error("{} is open for reading only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Content that the file had when it was opened is no longer there.
    #[error("{} has changed on the disk since it was opened: {reason}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What does not match.
        reason: String,
    },
    /// A value cannot be encoded: a bug in the program.
    #[error("cannot encode a value for {}: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The encoder's error.
        reason: String,
    },
    /// Reading or writing a file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl StoreError {
    /// The stable error code, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Newer { .. } | Self::Changed { .. } => ErrorCode::StoreCorrupted,
            Self::Poisoned { .. } | Self::ReadOnly { .. } | Self::Encode { .. } => {
                ErrorCode::Internal
            }
            Self::Disk(error) => error.code(),
        }
    }

    fn encode(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Encode { path: path.to_path_buf(), reason: error.to_string() }
    }

    fn changed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Changed { path: path.to_path_buf(), reason: reason.into() }
    }
}
