//! The store on sled 0.34, with a seal that says what must be in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::keys::{FORMAT, FORMAT_KEY};
use super::panics::contain;
use super::seal::{Contents, Seal};
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
    /// What is in it. Held while a row is written: the seal on disk must not fall behind by two.
    contents: Mutex<Contents>,
}

impl SledStore {
    /// Opens or makes the store in `folder`, and compares all rows with the seal.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`], [`StoreError::InUse`], or what the disk says.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        if folder.exists() && !folder.is_dir() {
            return Err(corrupted(folder, "it is not a folder"));
        }
        durable::make_folder(folder)?;
        let seal = Seal::read(folder)?;
        drop_snapshots(folder)?;
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES);
        let db = contain(|| config.open())
            .map_err(|panic| corrupted(folder, &format!("it does not open ({panic})")))?
            .map_err(|error| open_error(folder, error))?;
        let at = folder.join("db");
        let file = File::open(&at).map_err(|error| DiskError::at(&at, error))?;
        let mut store = Self {
            path: folder.to_path_buf(),
            db,
            file,
            contents: Mutex::new(Contents::default()),
        };
        let found = store.count()?;
        store.check_seal(seal, found)?;
        store.contents = Mutex::new(found);
        store.check_format(found)?;
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

    /// Reads every row: what cannot be read is found now and not in the middle of a round.
    fn count(&self) -> Result<Contents, StoreError> {
        let rows = self.scan(b"")?;
        Ok(rows.iter().fold(Contents::default(), |all, (key, value)| all.with(key, value)))
    }

    fn check_seal(&self, seal: Option<Seal>, found: Contents) -> Result<(), StoreError> {
        let fitting = match seal {
            Some(seal) => found == seal.before || found == seal.after,
            None => found == Contents::default(),
        };
        if fitting {
            return Ok(());
        }
        let rows = found.rows();
        Err(match seal.map(|seal| seal.after.rows()) {
            None => self.corrupted(format!("its seal is gone, {rows} rows are there")),
            Some(sealed) if sealed == rows => self.corrupted("rows were changed".to_owned()),
            Some(sealed) => self.corrupted(format!("{rows} rows are there, {sealed} were written")),
        })
    }

    fn check_format(&self, found: Contents) -> Result<(), StoreError> {
        match self.get(FORMAT_KEY)?.as_deref() {
            Some(FORMAT) => Ok(()),
            Some(_) => Err(self.corrupted("it was written by another version".to_owned())),
            None if found.rows() == 0 => self.put(FORMAT_KEY, FORMAT),
            None => Err(self.corrupted("its format is not named".to_owned())),
        }
    }

    /// Calls into sled; what sled cannot do with these files is named as damage.
    fn sled<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        contain(|| call(&self.db))
            .map_err(|panic| self.corrupted(format!("it cannot be read ({panic})")))?
            .map_err(|error| open_error(&self.path, error))
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.sled(|db| db.get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *contents;
        let old = self.get(key)?;
        let after = old.iter().fold(before, |all, old| all.without(key, old)).with(key, value);
        // The seal first: a crash from here on leaves one of its two states.
        Seal { before, after }.write(&self.path)?;
        self.sled(|db| {
            db.insert(key, value)?;
            db.flush()
        })?;
        self.file.sync_all().map_err(|error| DiskError::at(&self.path, error))?;
        *contents = after;
        // And again, so that this row cannot get lost unnoticed either.
        Seal::settled(after).write(&self.path)
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Row>, StoreError> {
        self.sled(|db| {
            db.scan_prefix(prefix)
                .map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())))
                .collect()
        })
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

/// sled's snapshots save it from reading its whole log when it opens. It refuses to open with a damaged one, and leaves an
/// empty one behind when the disk is full. The log says the same and is short, so none is ever used.
fn drop_snapshots(folder: &Path) -> Result<(), StoreError> {
    let entries = std::fs::read_dir(folder).map_err(|error| DiskError::at(folder, error))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(|error| DiskError::at(&path, error))?;
        }
    }
    Ok(())
}

fn corrupted(path: &Path, reason: &str) -> StoreError {
    StoreError::Corrupted { path: path.to_path_buf(), reason: reason.to_owned() }
}

fn open_error(path: &Path, error: sled::Error) -> StoreError {
    use std::io::ErrorKind as Kind;
    match error {
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::InUse { path: path.to_path_buf() }
        }
        sled::Error::Io(error) => match error.kind() {
            Kind::UnexpectedEof => corrupted(path, "it ends too soon"),
            Kind::IsADirectory | Kind::NotADirectory | Kind::InvalidData | Kind::InvalidInput => {
                corrupted(path, &error.to_string())
            }
            _ => DiskError::at(path, error).into(),
        },
        other => corrupted(path, other.to_string().lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        store.put(b"note/b", b"2").unwrap();
        store.put(b"note/a", b"1").unwrap();
        store.put(b"note/b", b"3").unwrap();
        assert!(matches!(SledStore::open(folder.path()), Err(StoreError::InUse { .. })));
        drop(store);
        let store = SledStore::open(folder.path()).unwrap();
        let rows = store.scan(b"note/").unwrap();
        assert_eq!(
            rows,
            [(b"note/a".to_vec(), b"1".to_vec()), (b"note/b".to_vec(), b"3".to_vec())]
        );
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
