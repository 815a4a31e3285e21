//! Why there is no identity.

use std::path::PathBuf;

use crate::durable::DiskError;
use crate::error_code::ErrorCode;
use crate::randomness::RandomnessError;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No identity has been created yet.
    #[error("there is no identity at {}", path.display())]
    Missing {
        /// The file that is missing.
        path: PathBuf,
    },
    /// An identity exists already; it is never overwritten.
    #[error("there is an identity at {} already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The identity is encrypted, and no passphrase was given.
    #[error("{} is encrypted with a passphrase, and none was given", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file was encrypted with another passphrase, or was modified.
    #[error("{} cannot be decrypted: wrong passphrase, or the file was changed", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The file is not an identity file.
    #[error("{} is not an identity file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system returned no random bytes.
    #[error(transparent)]
    Random(#[from] RandomnessError),
    /// Reading or writing a file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl IdentityError {
    /// The stable error code, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::NoIdentity,
            Self::Locked { .. } | Self::WrongPassphrase { .. } | Self::EmptyPassphrase => {
                ErrorCode::IdentityLocked
            }
            Self::Exists { .. } => ErrorCode::WrongState,
            Self::Malformed { .. } | Self::Random(_) => ErrorCode::Internal,
            Self::Disk(error) => error.code(),
        }
    }
}
