//! What the store holds, in one small file beside it: how many rows, and a digest over all of them.
//!
//! sled checks what it reads, but measured on damaged files (docs/OPERATING.md) it also opens without a word after it
//! has dropped every row behind a damaged place. The seal tells that apart from a store that never had those rows.
//!
//! ```text
//! seal.fs = "FSSEAL01" | state before the last write | state after it | check, 32 bytes
//! state   = rows u64 | digest over the rows, 32 bytes
//! ```
//! Little-endian. Two states, because the seal goes to disk before the row does: after a crash in between, the store
//! has one or the other.

use std::path::Path;

use super::StoreError;
use crate::durable;

const MAGIC: &[u8; 8] = b"FSSEAL01";
const STATE_BYTES: usize = 40;
const CHECKED_BYTES: usize = MAGIC.len() + 2 * STATE_BYTES;
const FILE_BYTES: usize = CHECKED_BYTES + 32;
/// The seal's name inside the store's folder; sled leaves names that it does not know alone.
pub(super) const SEAL_FILE: &str = "seal.fs";

/// Rows and their digest: the exclusive or of one hash for each row, so that a row can be put in or taken out without
/// reading the others. It is there against damage, not against people: records carry signatures for that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contents {
    rows: u64,
    digest: [u8; 32],
}

impl Contents {
    /// How many rows.
    pub(super) const fn rows(self) -> u64 {
        self.rows
    }

    /// With one row more.
    pub(super) fn with(mut self, key: &[u8], value: &[u8]) -> Self {
        self.rows = self.rows.saturating_add(1);
        self.mix(key, value);
        self
    }

    /// With one row less, which was there.
    pub(super) fn without(mut self, key: &[u8], value: &[u8]) -> Self {
        self.rows = self.rows.saturating_sub(1);
        self.mix(key, value);
        self
    }

    fn mix(&mut self, key: &[u8], value: &[u8]) {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 daemon store row");
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
        for (byte, other) in self.digest.iter_mut().zip(hasher.finalize().as_bytes()) {
            *byte ^= other;
        }
    }

    fn to_bytes(self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        bytes[..8].copy_from_slice(&self.rows.to_le_bytes());
        bytes[8..].copy_from_slice(&self.digest);
        bytes
    }

    fn from_bytes(bytes: &[u8; STATE_BYTES]) -> Self {
        let (mut rows, mut digest) = ([0; 8], [0; 32]);
        rows.copy_from_slice(&bytes[..8]);
        digest.copy_from_slice(&bytes[8..]);
        Self { rows: u64::from_le_bytes(rows), digest }
    }
}

/// What the store may hold: the contents before the last write, or those after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) before: Contents,
    pub(super) after: Contents,
}

impl Seal {
    /// The only contents, once a write is known to be on disk.
    pub(super) const fn settled(contents: Contents) -> Self {
        Self { before: contents, after: contents }
    }

    /// Reads the seal of the store in `folder`; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] if it is damaged, or what the disk says.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(SEAL_FILE);
        let Some(bytes) = durable::read_if_present(&path, 1 << 16)? else { return Ok(None) };
        Self::parse(&bytes).map(Some).ok_or_else(|| StoreError::Corrupted {
            path: folder.to_path_buf(),
            reason: format!("{SEAL_FILE} does not match its checksum"),
        })
    }

    /// Puts the seal on disk.
    ///
    /// # Errors
    /// What the disk says; the old one is then still there.
    pub(super) fn write(self, folder: &Path) -> Result<(), StoreError> {
        Ok(durable::replace(&folder.join(SEAL_FILE), &self.to_bytes())?)
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.before.to_bytes());
        bytes.extend_from_slice(&self.after.to_bytes());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != FILE_BYTES {
            return None;
        }
        let (checked, given) = bytes.split_at(CHECKED_BYTES);
        let states = checked.strip_prefix(MAGIC)?;
        let (before, after) = states.split_first_chunk::<STATE_BYTES>()?;
        let after = after.first_chunk::<STATE_BYTES>()?;
        (check(checked)[..] == *given).then(|| Self {
            before: Contents::from_bytes(before),
            after: Contents::from_bytes(after),
        })
    }
}

fn check(bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key("fedshield v1 daemon store seal", bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_depend_on_the_rows_and_not_on_their_order() {
        let empty = Contents::default();
        let both = empty.with(b"a", b"1").with(b"b", b"2");
        assert_eq!(both, empty.with(b"b", b"2").with(b"a", b"1"));
        assert_eq!(both.without(b"a", b"1").without(b"b", b"2"), empty);
        assert_ne!(both, empty.with(b"a", b"2").with(b"b", b"1"));
        assert_ne!(empty.with(b"ab", b""), empty.with(b"a", b"b"));
    }

    #[test]
    fn every_flipped_bit_of_a_seal_is_noticed() {
        let contents = Contents::default().with(b"a", b"1");
        let seal = Seal { before: Contents::default(), after: contents };
        let bytes = seal.to_bytes();
        assert_eq!(Seal::parse(&bytes), Some(seal));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::parse(&damaged), None, "bit {bit}");
        }
        assert_eq!(Seal::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Seal::parse(b""), None);
    }
}
