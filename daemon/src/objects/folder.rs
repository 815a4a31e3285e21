//! The object folder: find, read, keep, collect.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ChunkList, ObjectRef};

use super::inner::{Inner, remove_file};
use super::sidecar::Sidecar;
use super::{ObjectStoreError, ObjectWriter, PartialFile};
use crate::durable::{self, DiskError};

/// Chunk lists kept in memory: a holder is asked for one object's chunks many times in a row.
const CACHED_LISTS: usize = 256;

/// The object folder. Cheap to clone; all calls may block on the disk.
#[derive(Debug, Clone)]
pub struct Objects {
    pub(super) inner: Arc<Inner>,
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many objects and partial fetches.
    pub objects: u64,
    /// Their total length in bytes.
    pub bytes: u64,
}

impl Objects {
    /// Opens or makes the folder and removes what an earlier run did not finish writing.
    ///
    /// # Errors
    /// A disk error.
    pub fn open(folder: &Path) -> Result<Self, ObjectStoreError> {
        let inner = Inner::new(folder);
        let new = inner.new_folder();
        if new.exists() {
            fs::remove_dir_all(&new).map_err(|error| DiskError::at(&new, error))?;
        }
        durable::make_folder(&new)?;
        durable::make_folder(&inner.partial_folder())?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens the folder read-only: nothing is created or removed.
    #[must_use]
    pub fn open_to_read(folder: &Path) -> Self {
        Self { inner: Arc::new(Inner::new(folder)) }
    }

    /// From now on, new and fetched objects belong to `round`, see [`Self::collect`].
    pub fn set_round(&self, round: Round) {
        self.inner.round.store(round.0, Ordering::Relaxed);
    }

    /// Starts writing an object; its name is known when it is finished.
    ///
    /// # Errors
    /// A disk error.
    pub fn create(&self) -> Result<ObjectWriter, ObjectStoreError> {
        ObjectWriter::start(self.clone())
    }

    /// Stores `bytes` as an object.
    ///
    /// # Errors
    /// A disk error.
    pub fn put(&self, bytes: &[u8]) -> Result<ObjectRef, ObjectStoreError> {
        let mut writer = self.create()?;
        writer.append(bytes)?;
        writer.finish()
    }

    /// Whether the whole object is here.
    ///
    /// # Errors
    /// A disk error.
    pub fn contains(&self, object: &ObjectRef) -> Result<bool, ObjectStoreError> {
        match self.file(object) {
            Ok(_) => Ok(true),
            Err(ObjectStoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The path of a complete object, for reading or mapping. Disk corruption is not detected here,
    /// but by [`Self::check`].
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], or a disk error.
    pub fn path(&self, object: &ObjectRef) -> Result<PathBuf, ObjectStoreError> {
        self.file(object)?;
        Ok(self.inner.path(&object.root))
    }

    /// Opens a complete object for reading.
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], or a disk error.
    pub fn file(&self, object: &ObjectRef) -> Result<File, ObjectStoreError> {
        let path = self.inner.path(&object.root);
        let missing = ObjectStoreError::NotFound { root: object.root };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing),
            Err(error) => return Err(DiskError::at(&path, error).into()),
        };
        let length = file.metadata().map_err(|error| DiskError::at(&path, error))?.len();
        if length == object.length { Ok(file) } else { Err(missing) }
    }

    /// All bytes of a complete object, verified. For small objects: the whole of it is in memory.
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], [`ObjectStoreError::Damaged`], or a disk error.
    pub fn read(&self, object: &ObjectRef) -> Result<Vec<u8>, ObjectStoreError> {
        let mut bytes = Vec::new();
        for index in 0..object.chunk_count() {
            bytes.extend_from_slice(&self.read_chunk(object, index)?);
        }
        self.file(object)?;
        Ok(bytes)
    }

    /// Reads all chunks and compares them with their digests.
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], [`ObjectStoreError::Damaged`], or a disk error.
    pub fn check(&self, object: &ObjectRef) -> Result<(), ObjectStoreError> {
        self.file(object)?;
        (0..object.chunk_count()).try_for_each(|index| self.read_chunk(object, index).map(drop))
    }

    /// The chunk list of a complete object.
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], or a disk error.
    pub fn chunk_list(&self, object: &ObjectRef) -> Result<Arc<ChunkList>, ObjectStoreError> {
        let cached = self.inner.lock().lists.get(&object.root).map(Arc::clone);
        if let Some(list) = cached.filter(|list| list.object == *object) {
            return Ok(list);
        }
        self.file(object)?;
        let path = self.inner.path(&object.root);
        let list = Sidecar::read(&path)?
            .and_then(|sidecar| sidecar.list(object.root))
            .filter(|list| list.object == *object)
            .map(Arc::new)
            .ok_or(ObjectStoreError::NotFound { root: object.root })?;
        let mut state = self.inner.lock();
        if state.lists.len() >= CACHED_LISTS {
            state.lists.pop_first();
        }
        state.lists.insert(object.root, Arc::clone(&list));
        Ok(list)
    }

    /// One chunk of a complete object, verified against its digest.
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], [`ObjectStoreError::Damaged`], or a disk error.
    pub fn read_chunk(&self, object: &ObjectRef, index: u32) -> Result<Vec<u8>, ObjectStoreError> {
        let list = self.chunk_list(object)?;
        let mut bytes = vec![0; object.chunk_length(index)];
        let offset = u64::from(index) * CHUNK_SIZE_BYTES as u64;
        self.file(object)?
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| DiskError::at(&self.inner.path(&object.root), error))?;
        if list.check_chunk(index, &bytes).is_err() {
            self.remove(object)?;
            return Err(ObjectStoreError::Damaged { root: object.root });
        }
        Ok(bytes)
    }

    /// Starts fetching an object, or continues where an earlier fetch stopped.
    ///
    /// # Errors
    /// [`ObjectStoreError::Busy`], an object over the size limit, or a disk error.
    pub fn resume(&self, list: &ChunkList) -> Result<PartialFile, ObjectStoreError> {
        PartialFile::resume(self.clone(), list)
    }

    /// Keeps an object at least until all rounds up to `round` are over.
    ///
    /// # Errors
    /// [`ObjectStoreError::NotFound`], or a disk error.
    pub fn keep(&self, object: &ObjectRef, round: Round) -> Result<(), ObjectStoreError> {
        let path = self.path(object)?;
        let mut sidecar =
            Sidecar::read(&path)?.ok_or(ObjectStoreError::NotFound { root: object.root })?;
        if sidecar.round < round {
            sidecar.round = round;
            sidecar.write(&path)?;
        }
        Ok(())
    }

    /// Removes an object, if it is here.
    ///
    /// # Errors
    /// A disk error.
    pub fn remove(&self, object: &ObjectRef) -> Result<(), ObjectStoreError> {
        self.inner.lock().lists.remove(&object.root);
        let path = self.inner.path(&object.root);
        remove_file(&path)?;
        remove_file(&Sidecar::path(&path))
    }

    /// Removes every object that no round from `before` on needs, except those in `keep`, and
    /// leftovers of fetches in rounds that are over.
    ///
    /// # Errors
    /// A disk error; the rest is removed by the next collection.
    pub fn collect(
        &self,
        before: Round,
        keep: &BTreeSet<Digest>,
    ) -> Result<Collected, ObjectStoreError> {
        let mut collected = Collected::default();
        for (root, path) in self.inner.named_files(&self.inner.folder)? {
            let sidecar = Sidecar::read(&path)?;
            let needed = sidecar.as_ref().is_some_and(|sidecar| sidecar.round >= before);
            if keep.contains(&root) || needed {
                continue;
            }
            let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            let length = sidecar.map_or(length, |sidecar| sidecar.length());
            self.remove(&ObjectRef { root, length })?;
            collected.objects += 1;
            collected.bytes += length;
        }
        collected.objects += self.drop_leftovers()?;
        durable::sync_folder(&self.inner.folder)?;
        Ok(collected)
    }

    /// The number of complete objects, and their total length.
    ///
    /// # Errors
    /// A disk error.
    pub fn usage(&self) -> Result<Collected, ObjectStoreError> {
        let files = self.inner.named_files(&self.inner.folder)?;
        let lengths = files.iter().filter_map(|(_, path)| Some(fs::metadata(path).ok()?.len()));
        Ok(lengths.fold(Collected::default(), |all, length| Collected {
            objects: all.objects + 1,
            bytes: all.bytes + length,
        }))
    }
}
