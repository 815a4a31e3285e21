//! Leaves nothing of a federation that was left before its first round had ended.

use std::fs;

use fedshield_protocol::limits::MAX_MANIFEST_BYTES;
use fedshield_protocol::manifest::SignedManifest;

use super::FoundingError;
use super::partings::Partings;
use crate::durable::{self, DiskError};
use crate::home::Home;
use crate::identity::ROUND_KEYS;

/// Finishes what [`leave_founded`](super::Founding::leave_founded) began: erases the secrets, then everything else that
/// belongs to the federation, the manifest last, so that a crash in between is made good at the next start. To be called
/// before anything in the home is opened. True if there was something to do.
///
/// # Errors
/// A failure of the disk.
pub fn finish_leaving(home: &Home) -> Result<bool, FoundingError> {
    let Some(bytes) = durable::read_if_present(&home.manifest(), MAX_MANIFEST_BYTES as u64)? else {
        return Ok(false);
    };
    // Whoever needs the manifest reports what is wrong with one that cannot be read.
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
        // The keys of the rounds first: with them all that is wrapped under them is gone.
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
