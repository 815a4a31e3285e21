//! Erases all data of a federation that was left before its first round had ended.

use std::fs;

use fedshield_protocol::limits::MAX_MANIFEST_BYTES;
use fedshield_protocol::manifest::SignedManifest;

use super::FoundingError;
use super::partings::Partings;
use crate::durable::{self, DiskError};
use crate::home::Home;
use crate::identity::ROUND_KEYS;

/// Completes what [`leave_founded`](super::Founding::leave_founded) began: erases the secrets, then
/// everything else that belongs to the federation, the manifest last, so that the next start
/// completes an erasure that a crash interrupted. Must be called before anything in the home is
/// opened. True if there was something to do.
///
/// # Errors
/// A failure of the disk.
pub fn finish_leaving(home: &Home) -> Result<bool, FoundingError> {
    let Some(bytes) = durable::read_if_present(&home.manifest(), MAX_MANIFEST_BYTES as u64)? else {
        return Ok(false);
    };
    // The code that needs the manifest reports why it cannot be read.
    let Ok(signed) = SignedManifest::decode(&bytes) else { return Ok(false) };
    let partings = Partings::load(&home.partings())?;
    let id = signed.manifest.founding_id;
    if !partings.left.iter().any(|left| left.wipe && left.founding_id == id) {
        return Ok(false);
    }
    let secrets = home.secrets();
    if secrets.exists() {
        let entries = fs::read_dir(&secrets).map_err(|error| DiskError::at(&secrets, error))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        // The keys of the rounds first: without them everything wrapped under them is unreadable.
        files.sort_by_key(|file| !file.ends_with(ROUND_KEYS));
        for file in files {
            durable::erase(&file)?;
        }
    }
    for path in home.of_one_federation() {
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DiskError::at(&path, error).into());
            }
            _ => durable::sync_folder(home.path())?,
        }
    }
    Ok(true)
}
