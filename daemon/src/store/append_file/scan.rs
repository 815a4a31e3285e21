//! Scanning a file: where its valid part ends, and what is wrong with the rest.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use fedshield_protocol::append_log::{HEAD_BYTES, MAGIC_BYTES, MagicError};

use super::{AppendFile, Position, Repair, Unusable};
use crate::durable::DiskError;
use crate::store::{StoreError, aside};

const NO_MAGIC: &str = "it does not begin like a file of its kind";

impl AppendFile {
    /// Scans the file and sets `end` to where the valid part ends. Damage in the rest is returned
    /// and not yet repaired.
    pub(super) fn scan(
        &mut self,
        mut visit: impl FnMut(Position, u32, &[u8]) -> Result<(), Unusable>,
    ) -> Result<Option<Repair>, StoreError> {
        let disk = |error| DiskError::at(&self.path, error);
        let length = self.file.metadata().map_err(disk)?.len();
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        reader.seek(SeekFrom::Start(0)).map_err(disk)?;
        let mut magic = [0; MAGIC_BYTES];
        let begin = read_up_to(&mut reader, &mut magic).map_err(disk)?;
        match self.format.check_magic(begin) {
            Ok(()) => {}
            // Other formats have other checksums: a valid entry here was written in this format.
            Err(_) if self.first_entry_is_good()? => self.bad_magic = true,
            Err(error @ MagicError::Newer(_)) => return Err(self.newer(error.to_string())),
            Err(MagicError::Other) => {
                self.end = 0;
                return Ok(Some(self.bad(length, NO_MAGIC, false)));
            }
        }
        self.end = MAGIC_BYTES as u64;
        let mut body = Vec::new();
        while self.end < length {
            let mut head = [0; HEAD_BYTES];
            if read_up_to(&mut reader, &mut head).map_err(disk)?.len() < HEAD_BYTES {
                return Ok(Some(self.bad(length, "it ends within an entry", true)));
            }
            let parsed = match self.format.parse_head(self.end, &head) {
                Ok(parsed) => parsed,
                Err(reason) => return Ok(Some(self.bad_head(length, reason)?)),
            };
            body.resize(parsed.length, 0);
            if read_up_to(&mut reader, &mut body).map_err(disk)?.len() < parsed.length {
                return Ok(Some(self.bad(length, "it ends within an entry", true)));
            }
            if !self.format.is_body(self.end, &parsed, &body) {
                return Ok(Some(self.bad(length, "an entry does not match its checksum", false)));
            }
            // Fits: the limit of every format is below 2^32.
            let position = Position { offset: self.end, length: parsed.length as u32 };
            match visit(position, parsed.kind, &body) {
                Ok(()) => self.end += (HEAD_BYTES + parsed.length) as u64,
                Err(Unusable::Damaged(reason)) => return Ok(Some(self.bad(length, reason, false))),
                Err(Unusable::Newer(reason)) => return Err(self.newer(reason)),
            }
        }
        Ok(None)
    }

    fn first_entry_is_good(&self) -> Result<bool, StoreError> {
        let at = MAGIC_BYTES as u64;
        let mut head = [0; HEAD_BYTES];
        if self.file.read_exact_at(&mut head, at).is_err() {
            return Ok(false);
        }
        let Ok(parsed) = self.format.parse_head(at, &head) else { return Ok(false) };
        match self.read(Position { offset: at, length: parsed.length as u32 }) {
            Ok(_) => Ok(true),
            Err(StoreError::Changed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn bad_magic(&self, aside: Option<PathBuf>) -> Repair {
        Repair {
            path: self.path.clone(),
            offset: 0,
            bytes: MAGIC_BYTES as u64,
            reason: NO_MAGIC.to_owned(),
            torn: false,
            aside,
        }
    }

    /// Writes the first bytes anew; all entries are whole.
    pub(super) fn rewrite_magic(&mut self, earlier: Option<Repair>) -> Result<Repair, StoreError> {
        let aside = match earlier {
            Some(repair) => repair.aside,
            None => Some(aside::copy(&self.path, "damaged")?),
        };
        self.file
            .write_all_at(self.format.magic, 0)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| DiskError::at(&self.path, error))?;
        self.bad_magic = false;
        Ok(self.bad_magic(aside))
    }

    /// Some file systems show zeros where a crash kept the bytes of an append from reaching the
    /// disk.
    fn bad_head(&self, length: u64, reason: &str) -> Result<Repair, StoreError> {
        let disk = |error| DiskError::at(&self.path, error);
        let mut rest = &self.file;
        rest.seek(SeekFrom::Start(self.end)).map_err(disk)?;
        let mut zeros = true;
        for byte in BufReader::new(rest).bytes() {
            zeros &= byte.map_err(disk)? == 0;
            if !zeros {
                break;
            }
        }
        Ok(self.bad(length, reason, zeros))
    }

    fn bad(&self, length: u64, reason: impl Into<String>, torn: bool) -> Repair {
        Repair {
            path: self.path.clone(),
            offset: self.end,
            bytes: length.saturating_sub(self.end),
            reason: reason.into(),
            torn,
            aside: None,
        }
    }

    fn newer(&self, reason: String) -> StoreError {
        StoreError::Newer { path: self.path.clone(), reason }
    }
}

/// Fills `buffer` as far as the reader has bytes; returns the filled part.
fn read_up_to<'a>(reader: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}
