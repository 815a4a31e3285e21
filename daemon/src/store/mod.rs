//! Small values that can be fetched or made again: the ledger, round reports, an index. Never the journal.

mod keys;
mod ledger;
mod panics;
mod seal;
mod sled_store;

pub use keys::Table;
pub use ledger::Ledger;
pub use sled_store::SledStore;

use std::path::PathBuf;

use crate::durable::DiskError;
use crate::error_code::ErrorCode;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not open, or holds what cannot be. The daemon keeps the damaged folder aside with `--rebuild-store`
    /// and fetches the ledger from the other members again.
    #[error(
        "the store at {} is corrupted: {reason}. Start the daemon once with --rebuild-store: it puts the folder \
         aside and fetches the ledger from the other members again. Nothing that the federation needs \
         is lost",
        path.display()
    )]
    Corrupted {
        /// The folder.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Another process has it open.
    #[error("the store at {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A value cannot be encoded: a fault in the program.
    #[error("cannot encode a value for the store: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl StoreError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Corrupted { .. } => ErrorCode::StoreCorrupted,
            Self::InUse { .. } => ErrorCode::AddressInUse,
            Self::Encode { .. } => ErrorCode::Internal,
            Self::Disk(error) => error.code(),
        }
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Ordered keys with small values. Calls may block on the disk.
pub trait Store: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// What the disk says.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets `key`, on disk when this returns.
    ///
    /// # Errors
    /// What the disk says; whether the row is there is then known after the next start only.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// All rows whose key begins with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// What the disk says.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Row>, StoreError>;

    /// A corruption error that names this store.
    fn corrupted(&self, reason: String) -> StoreError;
}
