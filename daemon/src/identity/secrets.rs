//! Secrets on disk: encrypted files that can be erased one by one. Those of one round are wrapped
//! once more, see `wrapped`.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Identity;
use super::at_rest::AtRestKey;
use super::round_keys::RoundKeys;
use crate::durable::{self, DiskError};
use crate::error_code::ErrorCode;
use crate::randomness::RandomnessError;

/// The longest secret, in bytes: the key shares of 128 members for a ring of degree 2^16.
pub(super) const LIMIT_BYTES: u64 = 1 << 30;
const MAX_NAME_BYTES: usize = 100;
/// The extension of a file until it replaces another one.
const UNFINISHED: &str = "next";

/// Why a secret could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretStoreError {
    /// Names are `a-z`, `0-9`, `-`, `_` and `.`, not starting with a dot, at most 100 bytes.
    #[error("`{name}` is not a name for a secret")]
    Name {
        /// The name in the request.
        name: String,
    },
    /// The file cannot be decrypted: it belongs to another identity, or was modified.
    #[error("{} was not encrypted by this identity, or was changed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// More rounds have secrets at a time than a member ever works on.
    #[error("{} has no free slot for another round", path.display())]
    Slots {
        /// The file of the rounds' keys.
        path: PathBuf,
    },
    /// The operating system returned no random bytes.
    #[error(transparent)]
    Random(#[from] RandomnessError),
    /// Reading or writing a file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl SecretStoreError {
    /// The stable error code, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Disk(error) => error.code(),
            Self::Name { .. } | Self::Damaged { .. } | Self::Slots { .. } | Self::Random(_) => {
                ErrorCode::Internal
            }
        }
    }
}

/// A folder of encrypted secrets. Calls block on the disk.
#[derive(Debug, Clone)]
pub struct SecretStore {
    folder: PathBuf,
    key: AtRestKey,
    pub(super) rounds: RoundKeys,
}

impl SecretStore {
    /// Opens the secrets of `identity` in `folder`, which is created if missing.
    ///
    /// # Errors
    /// A disk error, or [`SecretStoreError::Damaged`].
    pub fn open(folder: &Path, identity: &Identity) -> Result<Self, SecretStoreError> {
        durable::make_folder(folder)?;
        let key = identity.vault();
        let rounds = RoundKeys::open(folder, key.clone())?;
        let store = Self { folder: folder.to_path_buf(), key, rounds };
        store.erase_unfinished()?;
        store.wrap_old()?;
        store.remove_erased()?;
        Ok(store)
    }

    /// Stores `secret` as `name`, on disk when this returns; replaces an older one.
    ///
    /// # Errors
    /// Any of [`SecretStoreError`] but `Damaged`.
    pub fn put(&self, name: &str, secret: &[u8]) -> Result<(), SecretStoreError> {
        let path = self.path(name)?;
        let encrypted = self.key.encrypt(secret, name.as_bytes())?;
        Ok(durable::replace(&path, &encrypted)?)
    }

    /// The secret called `name`, if there is one.
    ///
    /// # Errors
    /// Any of [`SecretStoreError`].
    pub fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SecretStoreError> {
        let path = self.path(name)?;
        let Some(encrypted) = durable::read_if_present(&path, LIMIT_BYTES)? else {
            return Ok(None);
        };
        match self.key.decrypt(&encrypted, name.as_bytes()) {
            Ok(plain) => Ok(Some(plain)),
            Err(_) => Err(SecretStoreError::Damaged { path }),
        }
    }

    /// The file of the secret called `name`, for messages.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Overwrites and removes the secret called `name`, if there is one.
    ///
    /// # Errors
    /// An invalid name, or a disk error.
    pub fn erase(&self, name: &str) -> Result<(), SecretStoreError> {
        Ok(durable::erase(&self.path(name)?)?)
    }

    /// The names that begin with `prefix`, in order.
    ///
    /// # Errors
    /// A disk error.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>, SecretStoreError> {
        let entries =
            std::fs::read_dir(&self.folder).map_err(|error| DiskError::at(&self.folder, error))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(prefix) && !name.ends_with(".next"))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Files that a crash left between being written and being renamed: nobody reads them, and they
    /// hold secrets.
    fn erase_unfinished(&self) -> Result<(), SecretStoreError> {
        let entries =
            std::fs::read_dir(&self.folder).map_err(|error| DiskError::at(&self.folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| DiskError::at(&self.folder, error))?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                durable::erase(&path)?;
            }
        }
        Ok(())
    }

    pub(super) fn path(&self, name: &str) -> Result<PathBuf, SecretStoreError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        let good = !name.is_empty()
            && name.len() <= MAX_NAME_BYTES
            && !name.starts_with('.')
            && !name.ends_with(".next")
            && name.chars().all(allowed);
        if !good {
            return Err(SecretStoreError::Name { name: name.chars().take(200).collect() });
        }
        Ok(self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Protection;

    #[test]
    fn a_secret_is_stored_encrypted_under_its_own_name_and_erased() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let identity = Identity::create(&path, &Protection::None).unwrap();
        let secrets = SecretStore::open(&folder.path().join("secrets"), &identity).unwrap();
        secrets.put("sealing-7", b"a sealing key").unwrap();
        secrets.put("sealing-7", b"a sealing key!").unwrap();
        assert_eq!(secrets.get("sealing-7").unwrap().unwrap().as_slice(), b"a sealing key!");
        assert_eq!(secrets.names("sealing-").unwrap(), ["sealing-7"]);
        let at = |name: &str| folder.path().join("secrets").join(name);
        let raw = std::fs::read(at("sealing-7")).unwrap();
        assert!(!raw.windows(7).any(|window| window == b"sealing"));
        std::fs::copy(at("sealing-7"), at("sealing-8")).unwrap();
        assert!(matches!(secrets.get("sealing-8"), Err(SecretStoreError::Damaged { .. })));
        secrets.erase("sealing-7").unwrap();
        assert_eq!(secrets.get("sealing-7").unwrap(), None);
        secrets.erase("sealing-8").unwrap();
        // A crash has left a file behind.
        std::fs::write(at("sealing-9.next"), b"half of it").unwrap();
        SecretStore::open(&folder.path().join("secrets"), &identity).unwrap();
        assert!(!at("sealing-9.next").exists());
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let identity = Identity::create(&path, &Protection::None).unwrap();
        let secrets = SecretStore::open(folder.path(), &identity).unwrap();
        for name in ["", "../x", "a/b", ".x", "A", "x.next"] {
            assert!(matches!(secrets.put(name, b""), Err(SecretStoreError::Name { .. })));
        }
    }
}
