//! State shared by all handles of one object folder: the paths, and the fetches under way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::object::ChunkList;

use super::ObjectStoreError;
use super::sidecar::Sidecar;
use crate::durable::{self, DiskError};

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) folder: PathBuf,
    /// The round that objects made or fetched now belong to.
    pub(super) round: AtomicU64,
    /// The number of the next file in `new/`.
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) fetching: BTreeSet<Digest>,
    pub(super) lists: BTreeMap<Digest, Arc<ChunkList>>,
}

impl Inner {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            round: AtomicU64::new(0),
            next: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn path(&self, root: &Digest) -> PathBuf {
        self.folder.join(root.to_string())
    }

    pub(super) fn partial_path(&self, root: &Digest, round: Round) -> PathBuf {
        self.partial_folder().join(round.0.to_string()).join(root.to_string())
    }

    pub(super) fn current_round(&self) -> Round {
        Round(self.round.load(Ordering::Relaxed))
    }

    pub(super) fn new_path(&self) -> PathBuf {
        self.new_folder().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Publishes the finished file `from` under the object's name, on disk when this returns.
    pub(super) fn publish(&self, from: &Path, list: &ChunkList) -> Result<(), ObjectStoreError> {
        let path = self.path(&list.object.root);
        // The list first: an object without one would be unreadable, a list without an object is
        // harmless.
        let round = self.current_round();
        let kept = Sidecar::read(&path)?.map_or(round, |sidecar| sidecar.round.max(round));
        Sidecar::new(list, kept).write(&path)?;
        fs::rename(from, &path).map_err(|error| DiskError::at(&path, error))?;
        Ok(durable::sync_folder(&self.folder)?)
    }

    /// Marks a fetch as under way; false if it is already.
    pub(super) fn begin_fetch(&self, root: Digest) -> bool {
        self.lock().fetching.insert(root)
    }

    pub(super) fn end_fetch(&self, root: &Digest) {
        self.lock().fetching.remove(root);
    }

    pub(super) fn new_folder(&self) -> PathBuf {
        self.folder.join("new")
    }

    pub(super) fn partial_folder(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// The files in `folder` that are named by a digest.
    pub(super) fn named_files(
        &self,
        folder: &Path,
    ) -> Result<Vec<(Digest, PathBuf)>, ObjectStoreError> {
        let entries = fs::read_dir(folder).map_err(|error| DiskError::at(folder, error))?;
        let named = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))
        });
        Ok(named.collect())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn remove_file(path: &Path) -> Result<(), ObjectStoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DiskError::at(path, error).into())
        }
        _ => Ok(()),
    }
}
