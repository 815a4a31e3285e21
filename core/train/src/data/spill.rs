//! What a data set keeps on disk: the memory of a member does not go with the size of its data.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::form::FieldMap;
use crate::{Result, TrainError};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// A file without a name, readable by this process only, which is gone when the last example that
/// lies in it is.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    folder: PathBuf,
    /// How the records in it are read.
    pub(super) map: FieldMap,
    end: Mutex<End>,
}

/// The end of the file: bytes that are not yet written, and their place.
#[derive(Debug, Default)]
struct End {
    waiting: Vec<u8>,
    at: u64,
}

/// The place of some bytes in a spill.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) bytes: u32,
}

impl Spill {
    /// Makes an empty one on the file system of `folder`.
    ///
    /// # Errors
    /// An I/O error, with the folder.
    pub(super) fn new(folder: &Path, map: FieldMap) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(TrainError::io(folder))?;
        Ok(Self { file, folder: folder.to_owned(), map, end: Mutex::default() })
    }

    /// Appends bytes. They can be read after [`Self::flush`].
    ///
    /// # Errors
    /// An I/O error, such as a full disk.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Piece> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let at = end.at + end.waiting.len() as u64;
        end.waiting.extend_from_slice(bytes);
        if end.waiting.len() >= BUFFER_BYTES {
            self.write(&mut end)?;
        }
        // A record has 16 MiB at most.
        Ok(Piece { at, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX) })
    }

    /// Writes what is still waiting.
    ///
    /// # Errors
    /// Those of [`Self::put`].
    pub(super) fn flush(&self) -> Result<()> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut end)?;
        end.waiting = Vec::new();
        Ok(())
    }

    fn write(&self, end: &mut End) -> Result<()> {
        let written = self.file.write_all_at(&end.waiting, end.at);
        written.map_err(TrainError::io(&self.folder))?;
        end.at += end.waiting.len() as u64;
        end.waiting.clear();
        Ok(())
    }

    /// Reads bytes again.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn get(&self, piece: Piece) -> Result<Vec<u8>> {
        let mut bytes = vec![0; piece.bytes as usize];
        let read = self.file.read_exact_at(&mut bytes, piece.at);
        read.map_err(TrainError::io(&self.folder))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_and_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::new(folder.path(), FieldMap::default()).unwrap();
        let texts: Vec<Vec<u8>> =
            (0..100u8).map(|n| vec![n; 30_000 * usize::from(n % 3)]).collect();
        let pieces: Vec<Piece> = texts.iter().map(|text| spill.put(text).unwrap()).collect();
        spill.flush().unwrap();
        for (piece, text) in pieces.iter().zip(&texts) {
            assert_eq!(spill.get(*piece).unwrap(), *text);
        }
        assert!(spill.get(Piece { at: 1 << 40, bytes: 1 }).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let gone = Spill::new(&folder.path().join("gone"), FieldMap::default());
        assert!(gone.unwrap_err().to_string().contains("gone"));
    }
}
