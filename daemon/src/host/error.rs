//! Errors that stop the host.

use crate::error_code::ErrorCode;

/// Why the host has to stop: continuing could break a promise to other members.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The journal cannot take what must be on disk before it is sent.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The ledger cannot take a record.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The network task has ended.
    #[error("the network has stopped")]
    NetworkGone,
}

impl HostError {
    /// The stable error code, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Journal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::NetworkGone => ErrorCode::Internal,
        }
    }
}
