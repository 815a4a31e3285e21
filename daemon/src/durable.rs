//! Files that survive a crash: write, fsync, rename, fsync the folder; and disk errors that name
//! the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error_code::ErrorCode;

/// Readable and writable by the owner only: everything in the home folder.
pub const PRIVATE_FILE: u32 = 0o600;
pub(crate) const PRIVATE_FOLDER: u32 = 0o700;
/// Block size for overwriting a secret.
const ERASE_BLOCK_BYTES: usize = 64 << 10;

/// A disk error with the file concerned.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No space, or over the quota.
    #[error("no space left on the disk that holds {}", path.display())]
    Full {
        /// The file that was being written.
        path: PathBuf,
    },
    /// Mounted read-only, by an administrator or by the kernel after an error.
    #[error("the disk that holds {} is mounted read-only", path.display())]
    ReadOnly {
        /// The file that was to be written.
        path: PathBuf,
    },
    /// An fsync failed: the kernel may have dropped the written pages, so a retry could succeed
    /// without the data being on the disk.
    #[error("{} could not be written to the disk durably (fsync: {source})", path.display())]
    Sync {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl DiskError {
    /// Classifies an error of an operation on `path`.
    pub fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, source },
        }
    }

    /// An fsync of `path` that failed, whatever the cause that the system reports.
    pub fn sync(path: &Path, source: io::Error) -> Self {
        Self::Sync { path: path.to_path_buf(), source }
    }

    /// Whether there is no free space, a quota is used up, or the disk is read-only: nothing was
    /// written, and the same call may succeed later.
    #[must_use]
    pub fn is_full(error: &io::Error) -> bool {
        use io::ErrorKind as Kind;
        matches!(error.kind(), Kind::StorageFull | Kind::QuotaExceeded | Kind::ReadOnlyFilesystem)
    }

    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Full { .. } | Self::ReadOnly { .. } => ErrorCode::DiskFull,
            Self::Sync { .. } | Self::Io { .. } => ErrorCode::Internal,
        }
    }
}

impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        let kind = match &error {
            DiskError::Full { .. } => io::ErrorKind::StorageFull,
            DiskError::ReadOnly { .. } => io::ErrorKind::ReadOnlyFilesystem,
            // Must not have a kind that callers wait for and retry.
            DiskError::Sync { .. } => io::ErrorKind::Other,
            DiskError::Io { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// Makes `folder` and its parents, for the owner only.
///
/// # Errors
/// Disk errors.
pub fn make_folder(folder: &Path) -> Result<(), DiskError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(folder)
        .map_err(|error| DiskError::at(folder, error))
}

/// Makes what was created, renamed or removed in `folder` durable.
///
/// # Errors
/// Disk errors.
pub fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    let handle = File::open(folder).map_err(|error| DiskError::at(folder, error))?;
    handle.sync_all().map_err(|error| DiskError::sync(folder, error))
}

/// Replaces the content of `path` atomically; durable when this returns. The file is private.
///
/// # Errors
/// A disk error; the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let next = next_to(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE_FILE)
            .open(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, path)
    })();
    if let Err(error) = written {
        // The first error is reported; a leftover is overwritten by the next attempt.
        let _ = fs::remove_file(&next);
        return Err(DiskError::at(path, error));
    }
    sync_folder(parent(path))
}

/// Reads `path`; `None` if it does not exist.
///
/// # Errors
/// A disk error, or if the file is longer than `limit_bytes`.
pub fn read_if_present(path: &Path, limit_bytes: u64) -> Result<Option<Vec<u8>>, DiskError> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::at(path, error)),
    };
    if length > limit_bytes {
        let reason = format!("{length} bytes are over the limit of {limit_bytes}");
        return Err(DiskError::at(path, io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    fs::read(path).map(Some).map_err(|error| DiskError::at(path, error))
}

/// Overwrites a file, then removes it. On a copy-on-write file system or an SSD old blocks may
/// survive: secrets are stored sealed for that reason. A missing file is not an error.
///
/// # Errors
/// Disk errors.
pub fn erase(path: &Path) -> Result<(), DiskError> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::at(path, error)),
    };
    overwrite(&mut file)
        .and_then(|()| fs::remove_file(path))
        .map_err(|error| DiskError::at(path, error))?;
    sync_folder(parent(path))
}

pub(crate) fn overwrite(file: &mut File) -> io::Result<()> {
    let zeros = [0; ERASE_BLOCK_BYTES];
    let mut left = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    while left > 0 {
        let take = left.min(ERASE_BLOCK_BYTES as u64);
        let block = zeros.get(..take as usize).unwrap_or(&zeros);
        file.write_all(block)?;
        left = left.saturating_sub(block.len() as u64);
    }
    file.sync_all()
}

/// The folder that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn next_to(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".next");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_replaced_file_is_private_and_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_if_present(&path, 10).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_FILE);
        assert!(read_if_present(&path, 2).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_erased_file_is_gone_and_was_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("b"));
        replace(&path, b"secret").unwrap();
        fs::hard_link(&path, &link).unwrap();
        erase(&path).unwrap();
        erase(&path).unwrap();
        assert_eq!(read_if_present(&path, 10).unwrap(), None);
        assert_eq!(fs::read(&link).unwrap(), vec![0; 6]);
    }

    #[test]
    fn a_full_disk_has_its_own_name() {
        let full = Path::new("/dev/full");
        let error = OpenOptions::new()
            .write(true)
            .open(full)
            .and_then(|mut file| file.write_all(b"x"))
            .map_err(|error| DiskError::at(full, error))
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::DiskFull);
        assert!(error.to_string().contains("/dev/full"));
    }

    #[test]
    fn what_is_waited_for_is_told_apart_from_what_ends_the_process() {
        use rustix::io::Errno;
        let at = |errno: Errno| DiskError::at(Path::new("/x"), errno.into());
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ROFS] {
            assert_eq!(at(errno).code(), ErrorCode::DiskFull, "{errno}");
        }
        assert_eq!(at(Errno::IO).code(), ErrorCode::Internal);
        // An fsync is not tried again, not even if it failed for lack of free space.
        let sync = DiskError::sync(Path::new("/x"), Errno::NOSPC.into());
        assert_eq!(sync.code(), ErrorCode::Internal);
        assert!(!DiskError::is_full(&io::Error::from(sync)));
    }
}
