//! The store on sled 0.34.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::keys::{FORMAT, FORMAT_KEY};
use super::{Row, Store, StoreError};
use crate::durable::{self, DiskError};

/// Small values only: sled's own default of 1 GiB is more than a whole daemon needs.
const CACHE_BYTES: u64 = 16 << 20;

/// A store in a folder.
pub struct SledStore {
    path: PathBuf,
    db: sled::Db,
    /// sled's `flush` ends in `sync_file_range`, which is not durable; this handle makes it so.
    file: File,
}

impl SledStore {
    /// Opens or makes the store in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`], [`StoreError::InUse`], or what the disk says.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        durable::make_folder(folder)?;
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES);
        // sled 0.34 panics on some damaged files instead of returning an error.
        let db = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| corrupted(folder, "it does not open (internal failure)"))?
            .map_err(|error| open_error(folder, error))?;
        let at = folder.join("db");
        let file = File::open(&at).map_err(|error| DiskError::at(&at, error))?;
        let store = Self { path: folder.to_path_buf(), db, file };
        store.check_format()?;
        Ok(store)
    }

    /// Puts a store that does not open aside, so that the next [`Self::open`] makes an empty one. What was in it comes
    /// from the other members again. Gives the folder's new name; `None` if there was none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn put_aside(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
        if !folder.exists() {
            return Ok(None);
        }
        let seconds =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let aside = (0..)
            .map(|count: u32| folder.with_file_name(format!("{name}.damaged-{seconds}-{count}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| folder.with_extension("damaged"));
        std::fs::rename(folder, &aside).map_err(|error| DiskError::at(folder, error))?;
        durable::sync_folder(durable::parent(folder))?;
        Ok(Some(aside))
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.get(FORMAT_KEY)?.as_deref() {
            Some(FORMAT) => Ok(()),
            Some(_) => Err(self.corrupted("it was written by a newer version".to_owned())),
            None if self.db.is_empty() => {
                self.put(FORMAT_KEY, FORMAT)?;
                self.barrier()
            }
            None => Err(self.corrupted("its format is not named".to_owned())),
        }
    }

    fn failed(&self, error: sled::Error) -> StoreError {
        open_error(&self.path, error)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get(key).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.db.insert(key, value).map(|_| ()).map_err(|error| self.failed(error))
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        self.db.remove(key).map(|_| ()).map_err(|error| self.failed(error))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Row>, StoreError> {
        self.db
            .scan_prefix(prefix)
            .map(|row| match row {
                Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
                Err(error) => Err(self.failed(error)),
            })
            .collect()
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| self.failed(error))?;
        self.file.sync_all().map_err(|error| DiskError::at(&self.path, error).into())
    }

    fn corrupted(&self, reason: String) -> StoreError {
        corrupted(&self.path, &reason)
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn corrupted(path: &Path, reason: &str) -> StoreError {
    StoreError::Corrupted { path: path.to_path_buf(), reason: reason.to_owned() }
}

fn open_error(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::InUse { path: path.to_path_buf() }
        }
        sled::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            corrupted(path, "it ends too soon")
        }
        sled::Error::Io(error) => DiskError::at(path, error).into(),
        other => corrupted(path, &other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_barrier_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        store.put(b"note/b", b"2").unwrap();
        store.put(b"note/a", b"1").unwrap();
        store.put(b"other", b"3").unwrap();
        store.delete(b"other").unwrap();
        store.barrier().unwrap();
        assert!(matches!(SledStore::open(folder.path()), Err(StoreError::InUse { .. })));
        drop(store);
        let store = SledStore::open(folder.path()).unwrap();
        let rows = store.scan(b"note/").unwrap();
        assert_eq!(
            rows,
            [(b"note/a".to_vec(), b"1".to_vec()), (b"note/b".to_vec(), b"2".to_vec())]
        );
        assert_eq!(store.get(b"other").unwrap(), None);
    }

    #[test]
    fn a_damaged_store_is_named_and_can_be_put_aside() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("store");
        drop(SledStore::open(&folder).unwrap());
        std::fs::write(folder.join("conf"), b"this is no sled configuration").unwrap();
        std::fs::write(folder.join("db"), vec![0xa5; 4096]).unwrap();
        let error = SledStore::open(&folder).unwrap_err();
        assert!(matches!(error, StoreError::Corrupted { .. }), "{error:?}");
        assert!(SledStore::put_aside(&folder).unwrap().unwrap().exists());
        SledStore::open(&folder).unwrap();
        assert_eq!(SledStore::put_aside(&home.path().join("none")).unwrap(), None);
    }
}
