//! The depth of a Parquet schema, read before the library reads it: the library follows the nesting
//! by recursion, and a file of a few hundred kilobytes can nest deep enough to overflow the stack,
//! which ends the process.
//!
//! The footer is a struct in Thrift's compact protocol (parquet.thrift, `FileMetaData`), followed by
//! its length in four bytes and the magic number.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Most levels of nesting. Chats have four.
const MOST_LEVELS: usize = 64;
/// Maximum size of a footer in bytes.
const MOST_BYTES: u32 = 256 << 20;
/// Most levels of structs and lists in the footer's own encoding.
const MOST_DEPTH: usize = 16;

const SCHEMA: i64 = 2;
const NUM_CHILDREN: i64 = 5;
const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Refuses a file whose schema nests too deep.
///
/// # Errors
/// Why the file is not read. A file without a footer is left to the library, which refuses it.
pub(super) fn check(file: &File) -> std::result::Result<(), String> {
    let broken = || "the Parquet data are damaged: their footer cannot be read".to_owned();
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let Some(at) = length.checked_sub(8) else { return Ok(()) };
    let mut end = [0; 8];
    file.read_exact_at(&mut end, at).map_err(|error| error.to_string())?;
    let [a, b, c, d, magic @ ..] = end;
    let bytes = u32::from_le_bytes([a, b, c, d]);
    let Some(at) = at.checked_sub(u64::from(bytes)).filter(|_| magic == *b"PAR1") else {
        return Ok(());
    };
    if bytes > MOST_BYTES {
        return Err(format!("the footer of the Parquet data has more than {MOST_BYTES} bytes"));
    }
    let mut footer = vec![0; bytes as usize];
    file.read_exact_at(&mut footer, at).map_err(|error| error.to_string())?;
    match Thrift(&footer).levels().ok_or_else(broken)? {
        levels if levels > MOST_LEVELS => Err(format!(
            "the columns of the Parquet data are nested deeper than {MOST_LEVELS} levels: write them flat"
        )),
        _ => Ok(()),
    }
}

/// What is left of bytes in the compact protocol. Functions return `None` if they are none.
struct Thrift<'a>(&'a [u8]);

impl Thrift<'_> {
    /// The most levels of any schema in the struct of the footer.
    fn levels(&mut self) -> Option<usize> {
        let mut most = 0;
        self.fields(|it, id, kind| {
            if (id, kind) != (SCHEMA, LIST) {
                return it.skip(kind, 0);
            }
            let (count, kind) = it.list()?;
            let mut open: Vec<u64> = Vec::new();
            for _ in 0..count {
                let children = if kind == STRUCT { it.children()? } else { it.element(kind, 0)? };
                // An element closes the groups of which it is the last child.
                while open.pop_if(|left| *left == 0).is_some() {}
                open.iter_mut().next_back().into_iter().for_each(|left| *left -= 1);
                if children > 0 {
                    open.push(children);
                }
                most = most.max(open.len());
            }
            Some(())
        })?;
        Some(most)
    }

    /// The number of children of a schema element.
    fn children(&mut self) -> Option<u64> {
        let mut children = 0;
        self.fields(|it, id, kind| match (id, kind) {
            (NUM_CHILDREN, I32) => {
                children = u64::try_from(zigzag(it.varint()?)).ok()?;
                Some(())
            }
            _ => it.skip(kind, 0),
        })?;
        Some(children)
    }

    fn fields(&mut self, mut each: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => zigzag(self.varint()?),
                step => id.checked_add(step.into())?,
            };
            each(self, id, head & 0xf)?;
        }
    }

    /// Skips the value of a field.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            // The value of a boolean is its kind.
            1 | 2 => Some(()),
            _ => self.element(kind, depth).map(|_| ()),
        }
    }

    /// Skips an element of a list, or the value of a field other than a boolean.
    fn element(&mut self, kind: u8, depth: usize) -> Option<u64> {
        if depth > MOST_DEPTH {
            return None;
        }
        match kind {
            1..=3 => self.take(1)?,
            4..=6 => self.varint().map(|_| ())?,
            7 => self.take(8)?,
            8 => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)?;
            }
            9 | 10 => {
                let (count, kind) = self.list()?;
                for _ in 0..count {
                    self.element(kind, depth + 1)?;
                }
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                for _ in 0..count {
                    self.element(kinds >> 4, depth + 1)?;
                    self.element(kinds & 0xf, depth + 1)?;
                }
            }
            12 => self.fields(|it, _, kind| it.skip(kind, depth + 1))?,
            13 => self.take(16)?,
            _ => return None,
        }
        Some(0)
    }

    /// The number and the kind of a list's elements.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 0xf { self.varint()? } else { u64::from(head >> 4) };
        Some((count, head & 0xf))
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    /// A Parquet file without rows whose schema has this many levels; with `twice`, behind a flat
    /// schema.
    fn nested(levels: usize, twice: bool) -> Vec<u8> {
        let mut elements = [&[0xfc][..], &varint(levels + 1)].concat();
        for _ in 0..levels {
            // Optional, called "g", one child.
            elements.extend(b"\x35\x02\x18\x01g\x15\x02\0");
        }
        elements.extend(b"\x15\x0c\x25\x02\x18\x01x\0");
        let flat = b"\x19\x1c\x35\0\x18\x01s\0";
        let schema: &[u8] = if twice { &[&flat[..], b"\x09\x04"].concat() } else { b"\x19" };
        let footer = [b"\x15\x02", schema, &elements, b"\x16\0\x19\x0c\0"].concat();
        let length = (footer.len() as u32).to_le_bytes();
        [b"PAR1", &footer[..], &length, b"PAR1"].concat()
    }

    fn checked(bytes: &[u8]) -> std::result::Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        std::fs::write(&path, bytes).unwrap();
        check(&File::open(path).unwrap())
    }

    #[test]
    fn a_schema_too_deep_for_the_stack_is_refused() {
        for twice in [false, true] {
            assert_eq!(checked(&nested(MOST_LEVELS, twice)), Ok(()), "{twice}");
            for levels in [MOST_LEVELS + 1, 200_000] {
                let reason = checked(&nested(levels, twice)).unwrap_err();
                assert!(reason.contains("nested deeper than 64"), "{reason}");
            }
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(check(&File::open(&path).unwrap()), Ok(()), "{path:?}");
        }
        for other in [&b""[..], b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"PAR1\0\0\0\0PAR2"] {
            assert_eq!(checked(other), Ok(()), "{other:?}");
        }
        let mut cut = nested(3, false);
        cut[9] = 0xff;
        assert!(checked(&cut).unwrap_err().contains("footer cannot be read"));
    }
}
