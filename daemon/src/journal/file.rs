//! The journal file: replay, append, truncate.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::Round;

use super::format::{Format, HEADER_BYTES, MAGIC, MAX_ENTRY_BYTES, Parsed, StoredEntry};
use crate::durable::{self, DiskError, PRIVATE_FILE};
use crate::error_code::ErrorCode;
use crate::randomness;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An entry that was once on disk is damaged, and later ones are not.
    #[error(
        "{} is damaged at byte {offset}: {reason}. The daemon does not start, because it no longer knows what it has \
         voted for. Check the disk, then follow `A lost journal` in docs/OPERATING.md",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged entry starts.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The entry is longer than [`MAX_ENTRY_BYTES`].
    #[error("a journal entry of {length} bytes is over the limit of {MAX_ENTRY_BYTES}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// After an earlier failed write it is unknown what is on disk; only a restart can tell.
    #[error("the journal at {} failed before and takes nothing more until a restart", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl JournalError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Damaged { .. } => ErrorCode::JournalCorrupted,
            Self::Disk(error) => error.code(),
            Self::TooLarge { .. } | Self::Poisoned { .. } => ErrorCode::Internal,
        }
    }
}

/// The content of the journal at a start.
#[derive(Debug, Default)]
pub struct Replay {
    /// All entries, in the order in which they were appended.
    pub entries: Vec<StoredEntry>,
    /// The last append was torn by a crash and has been removed: a warning, not an error.
    pub torn: Option<TornTail>,
}

/// The part that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// What was wrong with it.
    pub reason: &'static str,
}

/// The open journal. Calls block until the bytes are on disk.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    format: Format,
    end: u64,
    poisoned: bool,
}

impl Journal {
    /// Opens or creates the journal at `path` and reads its entries.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], or a disk error.
    pub fn open(path: &Path) -> Result<(Self, Replay), JournalError> {
        let disk = |error| DiskError::at(path, error);
        if !path.exists() {
            durable::make_folder(durable::parent(path))?;
            durable::replace(path, &fresh_header().map_err(disk)?)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(PRIVATE_FILE)
            .open(path)
            .map_err(disk)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(disk)?;
        let format = read_header(path, &bytes)?;
        let (replay, end) = replay(path, &format, &bytes)?;
        if replay.torn.is_some() {
            file.set_len(end).and_then(|()| file.sync_all()).map_err(disk)?;
        }
        file.seek(SeekFrom::Start(end)).map_err(disk)?;
        Ok((Self { path: path.to_path_buf(), file, format, end, poisoned: false }, replay))
    }

    /// Appends one entry; it is on disk when this returns.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`]; a disk error, after which nothing of the entry is left and the
    /// call may be repeated; [`DiskError::Sync`], after which nothing can be appended any more; or
    /// [`JournalError::Poisoned`] after a failure that could not be undone.
    pub fn append(&mut self, round: Round, body: &[u8]) -> Result<(), JournalError> {
        self.check_usable()?;
        if body.len() > MAX_ENTRY_BYTES {
            return Err(JournalError::TooLarge { length: body.len() });
        }
        let bytes = self.format.encode(self.end, round, body);
        if let Err(error) = self.file.write_all(&bytes) {
            self.roll_back();
            return Err(DiskError::at(&self.path, error).into());
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed fsync the kernel may have dropped the pages: a second one could
            // succeed without them.
            self.poisoned = true;
            return Err(DiskError::sync(&self.path, error).into());
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Drops the entries of rounds before `before`: writes the others to a new file and renames it
    /// into place.
    ///
    /// # Errors
    /// A disk error; the old file is then still in use.
    pub fn truncate(&mut self, before: Round) -> Result<(), JournalError> {
        self.check_usable()?;
        let old = std::fs::read(&self.path).map_err(|error| DiskError::at(&self.path, error))?;
        let (kept, end) = replay(&self.path, &self.format, &old)?;
        if end != self.end {
            return Err(damaged(&self.path, end, "it is shorter than what was written"));
        }
        if kept.entries.iter().all(|entry| entry.round >= before) {
            return Ok(());
        }
        let mut bytes = fresh_header().map_err(|error| DiskError::at(&self.path, error))?;
        let format = read_header(&self.path, &bytes)?;
        for entry in kept.entries.iter().filter(|entry| entry.round >= before) {
            let encoded = format.encode(bytes.len() as u64, entry.round, &entry.bytes);
            bytes.extend_from_slice(&encoded);
        }
        durable::replace(&self.path, &bytes)?;
        // The old handle refers to an unlinked file: nothing may be appended to it any more.
        self.poisoned = true;
        let (fresh, _) = Self::open(&self.path)?;
        *self = fresh;
        Ok(())
    }

    fn check_usable(&self) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned { path: self.path.clone() });
        }
        Ok(())
    }

    /// Truncates what a failed write left. A disk that has become read-only refuses both writing
    /// and truncating, so an unchanged length needs no truncation.
    fn roll_back(&mut self) {
        let undone = self
            .file
            .metadata()
            .and_then(|metadata| {
                if metadata.len() == self.end {
                    return Ok(());
                }
                self.file.set_len(self.end)?;
                self.file.sync_all()
            })
            .and_then(|()| self.file.seek(SeekFrom::Start(self.end)));
        self.poisoned = undone.is_err();
    }
}

fn fresh_header() -> io::Result<Vec<u8>> {
    let mut key = [0; HEADER_BYTES - MAGIC.len()];
    randomness::fill(&mut key).map_err(io::Error::other)?;
    Ok([MAGIC.as_slice(), &key].concat())
}

fn read_header(path: &Path, bytes: &[u8]) -> Result<Format, JournalError> {
    let (magic, rest) = bytes.split_first_chunk::<8>().unzip();
    match (magic, rest.and_then(|rest| rest.first_chunk::<16>())) {
        (Some(MAGIC), Some(key)) => Ok(Format::new(key)),
        _ => Err(damaged(path, 0, "it does not begin like a journal")),
    }
}

/// All valid entries, and the offset at which they end.
fn replay(path: &Path, format: &Format, bytes: &[u8]) -> Result<(Replay, u64), JournalError> {
    let mut replay = Replay::default();
    let mut offset = HEADER_BYTES;
    while offset < bytes.len() {
        match format.parse(bytes, offset) {
            Parsed::Entry(entry, length) => {
                replay.entries.push(entry);
                offset += length;
            }
            Parsed::Bad(reason) if entry_follows(format, bytes, offset) => {
                return Err(damaged(path, offset as u64, reason));
            }
            Parsed::Bad(reason) => {
                let length = (bytes.len() - offset) as u64;
                replay.torn = Some(TornTail { offset: offset as u64, length, reason });
                break;
            }
        }
    }
    Ok((replay, offset as u64))
}

/// Whether a valid entry follows an invalid one: then that one was complete once, and this is no
/// torn append.
fn entry_follows(format: &Format, bytes: &[u8], bad: usize) -> bool {
    (bad + 1..bytes.len()).any(|offset| matches!(format.parse(bytes, offset), Parsed::Entry(..)))
}

fn damaged(path: &Path, offset: u64, reason: &'static str) -> JournalError {
    JournalError::Damaged { path: path.to_path_buf(), offset, reason }
}

#[cfg(test)]
mod tests;
