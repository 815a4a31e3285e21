//! Content-addressed storage of large data: ciphertexts, sealed shares, aggregates, partial
//! decryptions, adapters.
//!
//! ```text
//! objects/<root>        the bytes
//! objects/<root>.list   length, last round it is needed in, chunk digests
//! objects/partial/<r>/  fetches under way in round r, sparse; resumed after a restart, gone when the round is over
//! objects/new/          objects being written here; emptied at start
//! ```

mod folder;
mod inner;
mod leftovers;
mod network;
mod partial;
mod sidecar;
mod writer;

pub use folder::{Collected, Objects};
pub use partial::PartialFile;
pub use writer::ObjectWriter;

use std::path::PathBuf;

use fedshield_protocol::ids::Digest;
use fedshield_protocol::object::ObjectError;

use crate::durable::DiskError;
use crate::error_code::ErrorCode;

/// Why an object cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectStoreError {
    /// The object is not here.
    #[error("object {} is not here", root.short())]
    NotFound {
        /// Its root.
        root: Digest,
    },
    /// The bytes on disk do not match the digests; the object was removed and can be fetched again.
    #[error("object {} was changed on the disk and has been removed", root.short())]
    Damaged {
        /// Its root.
        root: Digest,
    },
    /// The object is being fetched already.
    #[error("object {} is being fetched already", root.short())]
    Busy {
        /// Its root.
        root: Digest,
    },
    /// Chunks that were never written.
    #[error("{missing} chunks of object {} are missing", root.short())]
    Incomplete {
        /// Its root.
        root: Digest,
        /// The number of missing chunks.
        missing: u32,
    },
    /// Bytes that do not match the object's digests, or an object over the size limit.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The folder is not usable.
    #[error("{} is not an object folder: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it is not usable.
        reason: String,
    },
    /// Reading or writing failed, for instance because the disk is full.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl ObjectStoreError {
    /// The stable error code, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Disk(error) => error.code(),
            Self::NotFound { .. }
            | Self::Damaged { .. }
            | Self::Busy { .. }
            | Self::Incomplete { .. }
            | Self::Object(_)
            | Self::Folder { .. } => ErrorCode::Internal,
        }
    }
}

impl From<ObjectStoreError> for std::io::Error {
    fn from(error: ObjectStoreError) -> Self {
        use std::io::ErrorKind as Kind;
        let kind = match error {
            ObjectStoreError::Disk(error) => return error.into(),
            ObjectStoreError::NotFound { .. } | ObjectStoreError::Damaged { .. } => Kind::NotFound,
            ObjectStoreError::Busy { .. } => Kind::ResourceBusy,
            ObjectStoreError::Incomplete { .. }
            | ObjectStoreError::Object(_)
            | ObjectStoreError::Folder { .. } => Kind::InvalidData,
        };
        Self::new(kind, error)
    }
}
