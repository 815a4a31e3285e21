//! One append-only file: scanned when it is opened, appended to, and read at any position.
//!
//! A crash can truncate the last entry: it is removed, because nothing has been sent that depends
//! on it. Damage anywhere else is reported with its offset. The part before it is used; before
//! anything is cut off, a copy of the whole file is put aside.

mod repair;
mod scan;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fedshield_protocol::append_log::{HEAD_BYTES, LogFormat, MAGIC_BYTES};

pub use repair::Repair;

use super::{StoreError, aside};
use crate::durable::{self, DiskError, PRIVATE_FILE};

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Offset of its head, in bytes from the beginning of the file.
    pub(super) offset: u64,
    /// Length of its body, in bytes.
    pub(super) length: u32,
}

/// Why an entry with valid checksums is not accepted.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It does not follow from the entries before it, or is not of its kind: treated as damage.
    Damaged(String),
    /// A later version of the program wrote it.
    Newer(String),
}

/// The open file. Calls block until the bytes are on disk.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: PathBuf,
    format: LogFormat,
    file: File,
    end: u64,
    writable: bool,
    poisoned: bool,
    /// The first bytes are not those of the format, yet entries of the format follow.
    bad_magic: bool,
}

impl AppendFile {
    /// Opens or creates the file, passes every entry in it to `visit`, and cuts off what cannot be
    /// used.
    ///
    /// # Errors
    /// [`StoreError::Newer`], or a failure of the disk, after which the file is as it was.
    pub(super) fn open(
        path: &Path,
        format: LogFormat,
        visit: impl FnMut(Position, u32, &[u8]) -> Result<(), Unusable>,
    ) -> Result<(Self, Option<Repair>), StoreError> {
        if !path.exists() {
            durable::replace(path, format.magic)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| DiskError::at(path, error))?;
        let mut it = Self::new(path, format, file, true);
        let mut repair = it.scan(visit)?;
        if let Some(repair) = &mut repair {
            let reason = std::mem::take(&mut repair.reason);
            // If the first bytes are wrong as well, a torn end is not the effect of a mere crash.
            *repair = it.cut(repair.offset, reason, repair.torn && !it.bad_magic)?;
        }
        if it.bad_magic {
            repair = Some(it.rewrite_magic(repair)?);
        }
        it.seek_end().map_err(|error| DiskError::at(path, error))?;
        Ok((it, repair))
    }

    /// Opens the file for reading, changing nothing; `None` if it is not there. What cannot be used
    /// is left out.
    ///
    /// # Errors
    /// [`StoreError::Newer`], or a failure of the disk.
    pub(super) fn open_to_read(
        path: &Path,
        format: LogFormat,
        visit: impl FnMut(Position, u32, &[u8]) -> Result<(), Unusable>,
    ) -> Result<Option<(Self, Option<Repair>)>, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DiskError::at(path, error).into()),
        };
        let mut it = Self::new(path, format, file, false);
        let mut repair = it.scan(visit)?;
        if it.bad_magic && repair.is_none() {
            repair = Some(it.bad_magic(None));
        }
        Ok(Some((it, repair)))
    }

    fn new(path: &Path, format: LogFormat, file: File, writable: bool) -> Self {
        let path = path.to_path_buf();
        Self {
            path,
            format,
            file,
            end: MAGIC_BYTES as u64,
            writable,
            poisoned: false,
            bad_magic: false,
        }
    }

    /// Passes every entry of the valid part to `visit` again.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is no longer as it was, or a failure of the disk.
    pub(super) fn scan_again(
        &mut self,
        visit: impl FnMut(Position, u32, &[u8]) -> Result<(), Unusable>,
    ) -> Result<(), StoreError> {
        let end = self.end;
        let scanned = self.scan(visit);
        self.end = end;
        self.seek_end().map_err(|error| DiskError::at(&self.path, error))?;
        match scanned? {
            Some(bad) if bad.offset < end => {
                Err(StoreError::changed(&self.path, format!("byte {}: {}", bad.offset, bad.reason)))
            }
            _ => Ok(()),
        }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts off everything from `offset` on; unless it is `torn`, a copy of the file is put aside
    /// first.
    ///
    /// # Errors
    /// A failure of the disk; if there is no space for the copy, nothing has been changed.
    pub(super) fn cut(
        &mut self,
        offset: u64,
        reason: String,
        torn: bool,
    ) -> Result<Repair, StoreError> {
        self.check_usable()?;
        let disk = |error| DiskError::at(&self.path, error);
        let length = self.file.metadata().map_err(disk)?.len();
        let aside = if torn { None } else { Some(aside::copy(&self.path, "damaged")?) };
        self.poisoned = true;
        self.file.set_len(offset).map_err(disk)?;
        if offset < MAGIC_BYTES as u64 {
            self.file.set_len(0).map_err(disk)?;
            self.file.write_all_at(self.format.magic, 0).map_err(disk)?;
        }
        self.file.sync_all().map_err(disk)?;
        self.end = offset.max(MAGIC_BYTES as u64);
        self.seek_end().map_err(|error| DiskError::at(&self.path, error))?;
        self.poisoned = false;
        let bytes = length.saturating_sub(offset);
        Ok(Repair { path: self.path.clone(), offset, bytes, reason, torn, aside })
    }

    /// Appends one entry; it is on disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Encode`] over the limit; a failure of the disk, after which nothing of the
    /// entry is left behind; or [`StoreError::Poisoned`] after a failure that could not be undone.
    pub(super) fn append(&mut self, kind: u32, body: &[u8]) -> Result<Position, StoreError> {
        self.check_usable()?;
        if body.len() > self.format.max_body_bytes {
            let limit = self.format.max_body_bytes;
            let reason = format!("{} bytes are over the limit of {limit}", body.len());
            return Err(StoreError::encode(&self.path, reason));
        }
        let bytes = self.format.encode(self.end, kind, body);
        if let Err(error) = self.file.write_all(&bytes) {
            self.roll_back();
            return Err(DiskError::at(&self.path, error).into());
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed fsync the kernel may have dropped the pages: a second one would
            // succeed without them.
            self.poisoned = true;
            return Err(DiskError::sync(&self.path, error).into());
        }
        let position = Position { offset: self.end, length: body.len() as u32 };
        self.end += bytes.len() as u64;
        Ok(position)
    }

    /// The kind and the body of the entry at `position`.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is not there as it was written, or a failure of the disk.
    pub(super) fn read(&self, position: Position) -> Result<(u32, Vec<u8>), StoreError> {
        let changed = |reason: &str| {
            StoreError::changed(&self.path, format!("byte {}: {reason}", position.offset))
        };
        let mut bytes = vec![0; HEAD_BYTES + position.length as usize];
        self.file.read_exact_at(&mut bytes, position.offset).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => changed("the file ends within the entry"),
                _ => DiskError::at(&self.path, error).into(),
            }
        })?;
        let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(changed("no entry"));
        };
        let head = self.format.parse_head(position.offset, head).map_err(changed)?;
        if !self.format.is_body(position.offset, &head, body) {
            return Err(changed("the entry does not match its checksum"));
        }
        let kind = head.kind;
        Ok((kind, bytes.split_off(HEAD_BYTES)))
    }

    /// The bytes of the valid part of the file.
    ///
    /// # Errors
    /// A failure of the disk.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        let entries = self.end.saturating_sub(MAGIC_BYTES as u64);
        let mut body = vec![0; usize::try_from(entries).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut body, MAGIC_BYTES as u64)
            .map_err(|error| DiskError::at(&self.path, error))?;
        Ok([self.format.magic.as_slice(), &body].concat())
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        match (self.writable, self.poisoned) {
            (false, _) => Err(StoreError::ReadOnly { path }),
            (true, true) => Err(StoreError::Poisoned { path }),
            (true, false) => Ok(()),
        }
    }

    fn seek_end(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end)).map(|_| ())
    }

    fn roll_back(&mut self) {
        // A disk that has become read-only accepts neither writes nor truncation.
        let is_whole = self.file.metadata().is_ok_and(|metadata| metadata.len() == self.end);
        let cut = || self.file.set_len(self.end).and_then(|()| self.file.sync_all());
        let undone = if is_whole { Ok(()) } else { cut() };
        self.poisoned = undone.and_then(|()| self.seek_end()).is_err();
    }
}

/// Replaces the file atomically with the given entries: for data that an earlier version stored in
/// another form.
///
/// # Errors
/// A failure of the disk; the old file is then still there.
pub(super) fn write_all<'a>(
    path: &Path,
    format: LogFormat,
    entries: impl IntoIterator<Item = (u32, &'a [u8])>,
) -> Result<(), StoreError> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    let write = || -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE_FILE)
            .open(&next)?;
        let mut out = io::BufWriter::new(file);
        out.write_all(format.magic)?;
        let mut offset = MAGIC_BYTES as u64;
        for (kind, body) in entries {
            let entry = format.encode(offset, kind, body);
            out.write_all(&entry)?;
            offset += entry.len() as u64;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&next, path)
    };
    if let Err(error) = write() {
        // A leftover is overwritten by the next attempt.
        let _ = fs::remove_file(&next);
        return Err(DiskError::at(path, error).into());
    }
    Ok(durable::sync_folder(durable::parent(path))?)
}
