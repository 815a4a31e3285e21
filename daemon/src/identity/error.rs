//! Why there is no identity.

use std::path::PathBuf;

use crate::durable::DiskError;
use crate::error_code::ErrorCode;
use crate::randomness::RandomnessError;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// None was made yet.
    #[error("there is no identity at {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// One is there already; it is never overwritten.
    #[error("there is an identity at {} already", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Sealed, and no passphrase was given.
    #[error("{} is sealed with a passphrase, and none was given", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Sealed with another passphrase, or changed.
    #[error("{} does not open: wrong passphrase, or the file was changed", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// Not an identity file.
    #[error("{} is not an identity file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gives no randomness.
    #[error(transparent)]
    Random(#[from] RandomnessError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl IdentityError {
    /// The stable name.
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
