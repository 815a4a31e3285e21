//! The keys under which the secrets of rounds are wrapped, one for each round, in one file of
//! constant length. A key is erased by overwriting it in place: without these 32 bytes everything
//! that was kept for the round is unreadable, whatever copies of the wrapped files a file system, a
//! flash disk or a backup may hold.
//!
//! ```text
//! slot, every 4096 bytes    8 magic, 8 round, 24 nonce, 32 key and 16 tag, encrypted under the
//! store's key, 32 checksum
//! empty slot                zeros
//! ```
//!
//! Each slot occupies a block of its own, so that an interrupted write damages no other. A key is
//! used once its slot is on disk; a slot that is neither empty nor whole is one whose write or
//! erasure was interrupted, and is emptied at the next start. File systems that do not overwrite in
//! place (copy-on-write, journaled data) and flash disks may retain the old block for a while: no
//! program can prevent that.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fedshield_protocol::ids::Round;

use super::SecretStoreError;
use super::at_rest::AtRestKey;
use crate::durable::{self, DiskError};

/// Name of the file in the folder of secrets.
pub(crate) const FILE: &str = "wrapping-keys";
/// Most rounds with a key at a time: this one, the next, and those that are not settled yet.
pub(super) const SLOTS: usize = 16;
const SLOT_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"FSROUND1";
const ENCRYPTED_BYTES: usize = 24 + 32 + 16;
const CHECKED_BYTES: usize = 8 + 8 + ENCRYPTED_BYTES;
const USED_BYTES: usize = CHECKED_BYTES + 32;

/// The file of the keys. None of its content is kept in memory.
#[derive(Debug, Clone)]
pub(super) struct RoundKeys {
    path: PathBuf,
    vault: AtRestKey,
    /// One writer at a time.
    lock: Arc<Mutex<()>>,
}

/// What a slot holds.
enum Slot {
    Empty,
    Key {
        round: Round,
        encrypted: [u8; ENCRYPTED_BYTES],
    },
    /// A write or an erasure was interrupted.
    Torn,
}

impl RoundKeys {
    /// Opens the file in `folder`, creates it if there is none, and empties slots whose write or
    /// erasure was interrupted.
    pub(super) fn open(folder: &Path, vault: AtRestKey) -> Result<Self, SecretStoreError> {
        let keys = Self { path: folder.join(FILE), vault, lock: Arc::default() };
        let length = (SLOTS * SLOT_BYTES) as u64;
        match std::fs::metadata(&keys.path) {
            Ok(metadata) if metadata.len() == length => {}
            Ok(_) => return Err(SecretStoreError::Damaged { path: keys.path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                durable::replace(&keys.path, &vec![0; SLOTS * SLOT_BYTES])?;
            }
            Err(error) => return Err(DiskError::at(&keys.path, error).into()),
        }
        let file = keys.file()?;
        for index in 0..SLOTS {
            if matches!(keys.read(&file, index)?, Slot::Torn) {
                keys.write(&file, index, &[])?;
            }
        }
        Ok(keys)
    }

    /// The key of `round`, if there is one.
    pub(super) fn get(&self, round: Round) -> Result<Option<AtRestKey>, SecretStoreError> {
        let file = self.file()?;
        for index in 0..SLOTS {
            match self.read(&file, index)? {
                Slot::Key { round: of, encrypted } if of == round => {
                    return self.decrypt(round, &encrypted).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The key of `round`, a fresh one if there is none; on the disk when this returns.
    pub(super) fn get_or_make(&self, round: Round) -> Result<AtRestKey, SecretStoreError> {
        let _writer = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.get(round)? {
            return Ok(key);
        }
        let file = self.file()?;
        for index in 0..SLOTS {
            if matches!(self.read(&file, index)?, Slot::Empty) {
                let key = AtRestKey::random()?;
                let encrypted = self.vault.encrypt(key.as_bytes(), &context(round))?;
                self.write(&file, index, &slot(round, &encrypted))?;
                return Ok(key);
            }
        }
        Err(SecretStoreError::Slots { path: self.path.clone() })
    }

    /// Erases the keys of all rounds for which `which` is true, for good when this returns.
    pub(super) fn erase(&self, which: impl Fn(Round) -> bool) -> Result<(), SecretStoreError> {
        let _writer = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file()?;
        for index in 0..SLOTS {
            match self.read(&file, index)? {
                Slot::Key { round, .. } if !which(round) => {}
                Slot::Empty => {}
                _ => self.write(&file, index, &[])?,
            }
        }
        Ok(())
    }

    /// The rounds that have a key.
    pub(super) fn rounds(&self) -> Result<Vec<Round>, SecretStoreError> {
        let file = self.file()?;
        let mut rounds = Vec::new();
        for index in 0..SLOTS {
            if let Slot::Key { round, .. } = self.read(&file, index)? {
                rounds.push(round);
            }
        }
        Ok(rounds)
    }

    fn file(&self) -> Result<File, DiskError> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        file.map_err(|error| DiskError::at(&self.path, error))
    }

    fn read(&self, file: &File, index: usize) -> Result<Slot, DiskError> {
        let mut bytes = [0; SLOT_BYTES];
        file.read_exact_at(&mut bytes, (index * SLOT_BYTES) as u64)
            .map_err(|error| DiskError::at(&self.path, error))?;
        Ok(parse(&bytes))
    }

    /// Overwrites a slot in place: with `bytes`, the rest with zeros.
    fn write(&self, file: &File, index: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let mut block = [0; SLOT_BYTES];
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = *from;
        }
        file.write_all_at(&block, (index * SLOT_BYTES) as u64)
            .map_err(|error| DiskError::at(&self.path, error))?;
        file.sync_all().map_err(|error| DiskError::sync(&self.path, error))
    }

    fn decrypt(&self, round: Round, encrypted: &[u8]) -> Result<AtRestKey, SecretStoreError> {
        let damaged = || SecretStoreError::Damaged { path: self.path.clone() };
        let key = self.vault.decrypt(encrypted, &context(round)).map_err(|_| damaged())?;
        key.as_slice().try_into().map(AtRestKey::from_bytes).map_err(|_| damaged())
    }
}

fn context(round: Round) -> Vec<u8> {
    [&b"round-key "[..], &round.0.to_le_bytes()].concat()
}

fn slot(round: Round, encrypted: &[u8]) -> Vec<u8> {
    let checked = [&MAGIC[..], &round.0.to_le_bytes(), encrypted].concat();
    [&checked[..], &checksum(&checked)].concat()
}

/// Detects a slot that was written in part.
fn checksum(checked: &[u8]) -> [u8; blake3::OUT_LEN] {
    blake3::derive_key("fedshield v1 round key slot", checked)
}

fn parse(bytes: &[u8; SLOT_BYTES]) -> Slot {
    if bytes.iter().all(|byte| *byte == 0) {
        return Slot::Empty;
    }
    let (checked, rest) = bytes.split_at(CHECKED_BYTES);
    let (sum, padding) = rest.split_at(USED_BYTES - CHECKED_BYTES);
    let whole = checked.starts_with(MAGIC)
        && checksum(checked).as_slice() == sum
        && padding.iter().all(|byte| *byte == 0);
    let after_magic = checked.get(MAGIC.len()..).and_then(<[u8]>::split_first_chunk);
    match after_magic
        .map(|(round, encrypted)| (whole, u64::from_le_bytes(*round), encrypted.try_into()))
    {
        Some((true, round, Ok(encrypted))) => Slot::Key { round: Round(round), encrypted },
        _ => Slot::Torn,
    }
}

#[cfg(test)]
mod tests;
