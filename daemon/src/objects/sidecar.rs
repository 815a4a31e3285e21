//! The file beside each object: its chunk list and the last round it is needed in.

use std::path::{Path, PathBuf};

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::{ChunkList, ObjectRef};
use serde::{Deserialize, Serialize};

use super::ObjectStoreError;
use crate::durable;

/// The longest file, in bytes: a list of 2^16 digests and a few bytes around it.
const LIMIT_BYTES: u64 = (MAX_OBJECT_BYTES >> 20) * 32 + 1024;

/// The file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sidecar {
    length: u64,
    /// The object may be removed when all rounds up to this one are over.
    pub(super) round: Round,
    digests: Vec<Digest>,
}

impl Sidecar {
    pub(super) fn new(list: &ChunkList, round: Round) -> Self {
        Self { length: list.object.length, round, digests: list.digests().to_vec() }
    }

    /// The path of the file for the object at `object`.
    pub(super) fn path(object: &Path) -> PathBuf {
        object.with_extension("list")
    }

    /// Reads the file beside `object`; `None` if there is none or it cannot be decoded: the object
    /// is then fetched again.
    pub(super) fn read(object: &Path) -> Result<Option<Self>, ObjectStoreError> {
        let bytes = durable::read_if_present(&Self::path(object), LIMIT_BYTES)?;
        Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    pub(super) fn write(&self, object: &Path) -> Result<(), ObjectStoreError> {
        let bytes = postcard::to_allocvec(self).map_err(|error| ObjectStoreError::Folder {
            path: object.to_path_buf(),
            reason: error.to_string(),
        })?;
        Ok(durable::replace(&Self::path(object), &bytes)?)
    }

    /// The chunk list, if its root is `root`.
    pub(super) fn list(self, root: Digest) -> Option<ChunkList> {
        ChunkList::verify(ObjectRef { root, length: self.length }, self.digests).ok()
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }
}
