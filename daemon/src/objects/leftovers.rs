//! Leftovers of fetches: they are stored under the round of the fetch, so that no crash keeps them
//! for longer.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::object::ObjectRef;

use super::inner::{Inner, remove_file};
use super::{ObjectStoreError, Objects};
use crate::durable::{self, DiskError};

/// Bytes in a block as `stat` counts them.
const STAT_BLOCK_BYTES: u64 = 512;

impl Inner {
    /// The folders of rounds under `partial/`.
    fn partial_rounds(&self) -> Result<Vec<(Round, PathBuf)>, ObjectStoreError> {
        let folder = self.partial_folder();
        let entries = fs::read_dir(&folder).map_err(|error| DiskError::at(&folder, error))?;
        let rounds = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            Some((Round(entry.file_name().to_str()?.parse().ok()?), entry.path()))
        });
        Ok(rounds.collect())
    }

    /// Moves what was fetched of an object in an earlier round to `round`, for example of an
    /// adapter.
    pub(super) fn adopt_partial(
        &self,
        root: &Digest,
        round: Round,
    ) -> Result<(), ObjectStoreError> {
        let path = self.partial_path(root, round);
        let folder = self.partial_folder().join(round.0.to_string());
        durable::make_folder(&folder)?;
        let earlier = self.partial_rounds()?.into_iter().filter(|(of, _)| *of != round);
        if let Some(found) = earlier.map(|(_, it)| it.join(root.to_string())).find(|it| it.exists())
        {
            fs::rename(&found, &path).map_err(|error| DiskError::at(&found, error))?;
        }
        Ok(())
    }
}

impl Objects {
    /// Removes leftovers of fetches in rounds that are over, except of fetches still under way.
    /// Returns how many.
    ///
    /// # Errors
    /// A disk error; the rest is removed the next time.
    pub fn drop_leftovers(&self) -> Result<u64, ObjectStoreError> {
        let mut dropped = 0;
        // Earlier versions had no folders for rounds.
        let loose = self.inner.named_files(&self.inner.partial_folder())?;
        let current = self.inner.current_round();
        let ended = self.inner.partial_rounds()?.into_iter().filter(|(round, _)| *round < current);
        let mut files = loose;
        let mut folders = Vec::new();
        for (_, folder) in ended {
            files.extend(self.inner.named_files(&folder)?);
            folders.push(folder);
        }
        for (root, path) in files {
            if !self.inner.lock().fetching.contains(&root) {
                dropped += 1;
                remove_file(&path)?;
            }
        }
        for folder in folders {
            // Those under way keep their folder until the next time.
            let _ = fs::remove_dir(folder);
        }
        Ok(dropped)
    }

    /// How many bytes a fetch of this object has still to write.
    #[must_use]
    pub fn unwritten(&self, object: &ObjectRef) -> u64 {
        let rounds = self.inner.partial_rounds().unwrap_or_default();
        let of = |(_, folder): &(Round, PathBuf)| {
            let metadata = fs::metadata(folder.join(object.root.to_string())).ok()?;
            Some(metadata.blocks().saturating_mul(STAT_BLOCK_BYTES))
        };
        let written = rounds.iter().filter_map(of).max().unwrap_or_default();
        object.length.saturating_sub(written)
    }

    /// The path of the object folder.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.inner.folder
    }
}
