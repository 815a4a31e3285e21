//! Metadata that shows whether a file has changed without reading it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fedshield_train::TrainError;

/// Device and inode, length in bytes, and the times of the last change of content and of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    written: Option<SystemTime>,
}

impl Stamp {
    /// Reads the metadata of a file.
    ///
    /// # Errors
    /// If it does not exist, or is not a regular file and so cannot be read twice.
    pub(super) fn of(path: &Path) -> Result<Self, TrainError> {
        let io = |source| TrainError::Io { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            let reason = "this is not a regular file, so it cannot be read again for each round";
            return Err(io(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            written: metadata.modified().ok(),
        })
    }

    /// Whether it was modified at least `age` ago; false if the time is in the future, by another
    /// clock.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        let since = self.written.and_then(|written| SystemTime::now().duration_since(written).ok());
        since.is_some_and(|since| since >= age)
    }
}
