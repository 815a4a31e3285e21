//! JSON Lines: one record per line.

use std::io::{self, BufRead, Read};
use std::path::Path;

use super::super::source::{Input, read_error};
use super::{MAX_LINE_BYTES, MAX_SKIPPED_BYTES, Record, Records, endless, too_long};
use crate::Result;

/// Reads lines of bounded length.
pub(super) struct Lines {
    input: Input,
    number: usize,
    /// Whether the end of the previous line has still to be found.
    is_inside: bool,
}

impl Lines {
    pub(super) fn new(input: Input) -> Self {
        Self { input, number: 0, is_inside: false }
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        if std::mem::take(&mut self.is_inside) && !self.skip_rest()? {
            let reason = format!("the line is too long: {}", endless());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        loop {
            let mut bytes = Vec::new();
            let most = MAX_LINE_BYTES as u64 + 1;
            self.number += 1;
            if (&mut self.input).take(most).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            let is_open = bytes.last() != Some(&b'\n');
            if is_open && bytes.len() > MAX_LINE_BYTES {
                self.is_inside = true;
                let reason = format!("the line is {}", too_long());
                return Ok(Some(Record::new(self.number, Err(reason))));
            }
            // Concatenated files keep their byte order marks.
            let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
            if text.trim_ascii().is_empty() {
                continue;
            }
            let text = text.trim_ascii().to_vec();
            return Ok(Some(Record { number: self.number, text: Ok(text), is_open }));
        }
    }

    /// Skips the rest of a line; returns false if it is too long.
    fn skip_rest(&mut self) -> io::Result<bool> {
        let mut skipped = 0;
        while skipped < MAX_SKIPPED_BYTES {
            let buffer = match self.input.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            skipped += used as u64;
            self.input.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Records for Lines {
    fn next(&mut self, path: &Path) -> Result<Option<Record>> {
        let read = self.read();
        read.map_err(|error| read_error(path, self.number, error))
    }
}
