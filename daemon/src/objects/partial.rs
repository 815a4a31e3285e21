//! An object being fetched: a sparse file whose chunks are compared with the list when a fetch is
//! resumed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use fedshield_protocol::ids::Round;
use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ChunkList};

use super::{ObjectStoreError, Objects};
use crate::durable::{DiskError, PRIVATE_FILE};

/// A fetch under way. Dropping it keeps what was written for the next [`Objects::resume`], until
/// its round is over.
#[derive(Debug)]
pub struct PartialFile {
    objects: Objects,
    list: ChunkList,
    round: Round,
    path: PathBuf,
    file: File,
    present: Vec<bool>,
}

impl PartialFile {
    pub(super) fn resume(objects: Objects, list: &ChunkList) -> Result<Self, ObjectStoreError> {
        let root = list.object.root;
        list.object.check_size()?;
        if !objects.inner.begin_fetch(root) {
            return Err(ObjectStoreError::Busy { root });
        }
        let round = objects.inner.current_round();
        let path = objects.inner.partial_path(&root, round);
        let opened = objects
            .inner
            .adopt_partial(&root, round)
            .and_then(|()| open(&path, list).map_err(|error| DiskError::at(&path, error).into()));
        match opened {
            Ok((file, present)) => {
                Ok(Self { objects, list: list.clone(), round, path, file, present })
            }
            Err(error) => {
                objects.inner.end_fetch(&root);
                Err(error)
            }
        }
    }

    /// The chunks that are not here yet.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        let missing = self.present.iter().enumerate().filter(|(_, present)| !**present);
        // At most 2^16 chunks.
        missing.filter_map(|(index, _)| u32::try_from(index).ok()).collect()
    }

    /// Writes one chunk, after comparing it with the list.
    ///
    /// # Errors
    /// Bytes that do not match the chunk's digest, or a disk error.
    pub fn write_chunk(&mut self, index: u32, bytes: &[u8]) -> Result<(), ObjectStoreError> {
        self.list.check_chunk(index, bytes)?;
        let offset = u64::from(index) * CHUNK_SIZE_BYTES as u64;
        self.file.write_all_at(bytes, offset).map_err(|error| DiskError::at(&self.path, error))?;
        if let Some(present) = self.present.get_mut(index as usize) {
            *present = true;
        }
        Ok(())
    }

    /// All chunks are here: makes the object durable and visible under its name.
    ///
    /// # Errors
    /// [`ObjectStoreError::Incomplete`], or a disk error.
    pub fn complete(self) -> Result<(), ObjectStoreError> {
        let missing = self.missing().len();
        if missing > 0 {
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            return Err(ObjectStoreError::Incomplete { root: self.list.object.root, missing });
        }
        self.file
            .set_len(self.list.object.length)
            .map_err(|error| DiskError::at(&self.path, error))?;
        if let Err(error) = self.file.sync_all() {
            // What the page cache shows may not be on disk: the next fetch starts anew.
            let _ = std::fs::remove_file(&self.path);
            return Err(DiskError::at(&self.path, error).into());
        }
        self.objects.inner.publish(&self.path, &self.list)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.round < self.objects.inner.current_round() {
            // If it cannot be removed, the next collection removes it.
            let _ = std::fs::remove_file(&self.path);
        }
        self.objects.inner.end_fetch(&self.list.object.root);
    }
}

/// Opens the file and returns which chunks in it are valid. Holes and torn writes do not match
/// their digests.
fn open(path: &PathBuf, list: &ChunkList) -> io::Result<(File, Vec<bool>)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .open(path)?;
    let length = file.metadata()?.len();
    let mut present = vec![false; list.object.chunk_count() as usize];
    let mut bytes = Vec::new();
    for (index, present) in (0..).zip(&mut present) {
        let start = u64::from(index) * CHUNK_SIZE_BYTES as u64;
        let end = start + list.object.chunk_length(index) as u64;
        if end > length {
            break;
        }
        bytes.resize(list.object.chunk_length(index), 0);
        file.read_exact_at(&mut bytes, start)?;
        *present = list.check_chunk(index, &bytes).is_ok();
    }
    Ok((file, present))
}
