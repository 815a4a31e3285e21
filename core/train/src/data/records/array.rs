//! One JSON array, read item by item. Only the end of each item is found here; its content is
//! parsed as that of a line.

use std::io::{self, BufRead};
use std::path::Path;

use super::super::source::{Input, read_error};
use super::{MAX_LINE_BYTES, MAX_SKIPPED_BYTES, Record, Records, endless, too_long};
use crate::Result;

/// Reads the items of an array.
pub(super) struct Items {
    input: Input,
    number: usize,
    next: Next,
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The bracket that opens the array.
    Begin,
    /// An item.
    Item,
    /// A comma, or the bracket that closes the array.
    Comma,
    /// Nothing: the array has ended or cannot be read any further.
    Nothing,
}

impl Items {
    pub(super) fn new(input: Input) -> Self {
        Self { input, number: 0, next: Next::Begin }
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            let found = match self.next {
                Next::Nothing => return Ok(None),
                _ => self.peek()?,
            };
            let (next, take) = match (self.next, found) {
                (_, None) => return self.stop("the array does not end: the file is cut off"),
                (Next::Begin, Some(b'[')) => (Next::Item, true),
                (Next::Comma, Some(b',')) => (Next::Item, true),
                (Next::Comma, Some(b']')) => return self.finish(),
                (Next::Item, Some(b']')) if self.number == 0 => return self.finish(),
                (Next::Item, Some(b',' | b']' | b'}' | b':')) => {
                    return self.stop("an item is missing: is there a comma too many?");
                }
                (Next::Item, Some(_)) => return self.item().map(Some),
                (_, Some(_)) => {
                    return self
                        .stop("no comma stands before it: the array cannot be read further");
                }
            };
            self.next = next;
            self.input.consume(usize::from(take));
        }
    }

    /// Handles the bracket that closes the array.
    fn finish(&mut self) -> io::Result<Option<Record>> {
        self.input.consume(1);
        if self.peek()?.is_some() {
            return self.stop("the array has ended and more follows: a file holds one array");
        }
        self.next = Next::Nothing;
        Ok(None)
    }

    /// Stops reading. Items after this cannot be told apart any more, so it is not the problem of
    /// one item.
    fn stop<T>(&mut self, reason: &str) -> io::Result<T> {
        self.next = Next::Nothing;
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    /// The next byte that is not whitespace.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let at = buffer.iter().position(|byte| !byte.is_ascii_whitespace());
            let spaces = at.unwrap_or(buffer.len());
            let found = buffer.get(spaces).copied();
            self.input.consume(spaces);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn item(&mut self) -> io::Result<Record> {
        self.next = Next::Comma;
        let (mut end, mut text, mut bytes) = (ItemEnd::default(), Vec::new(), 0);
        loop {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return self.stop("the item does not end: the file is cut off");
            }
            let found = buffer.iter().position(|byte| end.is_at(*byte));
            // A bracket or quotation mark that ends an item belongs to it; the byte after a number
            // does not.
            let used = found.map_or(buffer.len(), |at| at + usize::from(end.is_inside()));
            if text.len() <= MAX_LINE_BYTES {
                text.extend_from_slice(buffer.get(..used).unwrap_or(buffer));
            }
            bytes += used as u64;
            self.input.consume(used);
            if bytes > MAX_SKIPPED_BYTES {
                return self.stop(&format!("the item is too long: {}", endless()));
            }
            if found.is_some() {
                self.number += 1;
                let is_long = text.len() > MAX_LINE_BYTES;
                let text =
                    if is_long { Err(format!("the item is {}", too_long())) } else { Ok(text) };
                return Ok(Record::new(self.number, text));
            }
        }
    }
}

impl Records for Items {
    fn next(&mut self, path: &Path) -> Result<Option<Record>> {
        self.read().map_err(|error| read_error(path, self.number + 1, error))
    }
}

fn fill(input: &mut Input) -> io::Result<&[u8]> {
    while let Err(error) = input.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    input.fill_buf()
}

/// Finds the byte with which a JSON value of any kind ends.
#[derive(Default)]
struct ItemEnd {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// The value is a number or a literal, which ends before the byte that follows it.
    is_bare: bool,
}

impl ItemEnd {
    fn is_inside(&self) -> bool {
        !self.is_bare
    }

    /// Whether the value ends with this byte or, for a number or literal, before it.
    fn is_at(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return !self.in_string && self.depth == 0;
        }
        match byte {
            b',' | b']' | b'}' if self.is_bare => return true,
            byte if self.is_bare => return byte.is_ascii_whitespace(),
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ if self.depth == 0 => self.is_bare = true,
            _ => {}
        }
        false
    }
}
