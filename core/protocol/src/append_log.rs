//! The form of the append-only files in which a node keeps what it must not lose: the ledger, its
//! reports, evidence.
//!
//! ```text
//! file  = magic, 8 bytes | entry*
//! entry = length of the body, u32 | kind, u32 | check of the head, 4 bytes | check of the body, 16 bytes | body
//! ```
//! Integers are little-endian. Both checks cover the offset of the entry in the file, so that an
//! entry which the file system shows in another place is noticed. They are there against damage,
//! not against people: whoever can write the file can make new ones. The magic ends in a version
//! digit and a line feed, so that a file which was sent as text is noticed as well.

/// Length of the magic in bytes.
pub const MAGIC_BYTES: usize = 8;
/// Length of what precedes the body of an entry.
pub const HEAD_BYTES: usize = 28;
/// Of these, what the check of the head covers.
const CHECKED_HEAD_BYTES: usize = 8;
const HEAD_CHECK_BYTES: usize = 4;
const BODY_CHECK_BYTES: usize = 16;

/// One kind of file.
#[derive(Debug, Clone, Copy)]
pub struct LogFormat {
    /// What its files begin with.
    pub magic: &'static [u8; MAGIC_BYTES],
    /// The longest body that a reader takes, in bytes.
    pub max_body_bytes: usize,
}

/// What precedes a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Length of the body in bytes.
    pub length: usize,
    /// What the body is.
    pub kind: u32,
    check: [u8; BODY_CHECK_BYTES],
}

/// One entry, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole entry.
    Entry {
        /// What the body is.
        kind: u32,
        /// The body.
        body: &'a [u8],
        /// Where the next entry begins.
        next: usize,
    },
    /// The file ends within the entry: an append that a crash has cut short.
    Torn,
    /// The bytes are not those that were written; the reason.
    Damaged(&'static str),
}

/// Why a file does not begin as one of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MagicError {
    /// It begins like one that a later version of the program has written.
    #[error("it was written by a later version of this program (format {0}); upgrade to read it")]
    Newer(char),
    /// It begins otherwise.
    #[error("it does not begin like a file of its kind")]
    Other,
}

impl LogFormat {
    /// Checks how a file begins.
    ///
    /// # Errors
    /// [`MagicError`].
    pub fn check_magic(&self, begin: &[u8]) -> Result<(), MagicError> {
        if begin.starts_with(self.magic) {
            return Ok(());
        }
        let [name @ .., own, _] = self.magic;
        match begin.strip_prefix(name) {
            Some([version, b'\n', ..]) if version.is_ascii_alphanumeric() && version > own => {
                Err(MagicError::Newer(char::from(*version)))
            }
            _ => Err(MagicError::Other),
        }
    }

    /// The entry of `body`, to be written at `offset`. The caller has checked the length of the
    /// body.
    #[must_use]
    pub fn encode(&self, offset: u64, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + body.len());
        // The limit of every kind of file is far below 2^32.
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        let check: [u8; HEAD_CHECK_BYTES] = self.check(offset, b"head", &out);
        out.extend_from_slice(&check);
        let check: [u8; BODY_CHECK_BYTES] = self.check(offset, b"body", body);
        out.extend_from_slice(&check);
        out.extend_from_slice(body);
        out
    }

    /// Reads the head of the entry at `offset` of a file.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse_head(&self, offset: u64, head: &[u8; HEAD_BYTES]) -> Result<Head, &'static str> {
        let (checked, checks) = head.split_at(CHECKED_HEAD_BYTES);
        let (head_check, body_check) = checks.split_at(HEAD_CHECK_BYTES);
        let [l0, l1, l2, l3, k0, k1, k2, k3, ..] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        // The limit first: it costs nothing, and almost no damaged head passes it.
        if length > self.max_body_bytes {
            return Err("its length is over the limit");
        }
        if self.check::<HEAD_CHECK_BYTES>(offset, b"head", checked).as_slice() != head_check {
            return Err("its head does not match its checksum");
        }
        let mut check = [0; BODY_CHECK_BYTES];
        check.copy_from_slice(body_check);
        Ok(Head { length, kind: u32::from_le_bytes([k0, k1, k2, k3]), check })
    }

    /// Whether `body` is the one of the entry at `offset`.
    #[must_use]
    pub fn is_body(&self, offset: u64, head: &Head, body: &[u8]) -> bool {
        body.len() == head.length
            && self.check::<BODY_CHECK_BYTES>(offset, b"body", body) == head.check
    }

    /// Reads the entry at `offset` of a whole file in memory.
    #[must_use]
    pub fn parse<'a>(&self, file: &'a [u8], offset: usize) -> Parsed<'a> {
        let rest = file.get(offset..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Parsed::Torn;
        };
        let head = match self.parse_head(offset as u64, head) {
            Ok(head) => head,
            Err(reason) => return Parsed::Damaged(reason),
        };
        let Some(body) = rest.get(..head.length) else { return Parsed::Torn };
        if !self.is_body(offset as u64, &head, body) {
            return Parsed::Damaged("its body does not match its checksum");
        }
        Parsed::Entry { kind: head.kind, body, next: offset + HEAD_BYTES + head.length }
    }

    fn check<const N: usize>(&self, offset: u64, part: &[u8], bytes: &[u8]) -> [u8; N] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 append-only file");
        hasher.update(self.magic).update(&offset.to_le_bytes()).update(part).update(bytes);
        let mut out = [0; N];
        hasher.finalize_xof().fill(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: LogFormat = LogFormat { magic: b"fstest2\n", max_body_bytes: 1000 };

    fn file(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = FORMAT.magic.to_vec();
        for body in bodies {
            let entry = FORMAT.encode(bytes.len() as u64, 7, body);
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    #[test]
    fn entries_come_back_in_order() {
        let bytes = file(&[b"one", b"", b"three"]);
        let mut offset = MAGIC_BYTES;
        for expected in [&b"one"[..], b"", b"three"] {
            let Parsed::Entry { kind: 7, body, next } = FORMAT.parse(&bytes, offset) else {
                panic!()
            };
            assert_eq!(body, expected);
            offset = next;
        }
        assert_eq!(offset, bytes.len());
    }

    #[test]
    fn every_cut_is_torn_and_every_flipped_bit_is_damage() {
        let bytes = file(&[b"some body"]);
        for end in MAGIC_BYTES..bytes.len() {
            assert_eq!(FORMAT.parse(&bytes[..end], MAGIC_BYTES), Parsed::Torn, "cut at {end}");
        }
        for bit in MAGIC_BYTES * 8..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(FORMAT.parse(&changed, MAGIC_BYTES), Parsed::Damaged(_)), "bit {bit}");
        }
    }

    #[test]
    fn an_entry_is_good_in_its_own_place_only() {
        let bytes = file(&[b"same", b"same"]);
        let (first, second) = bytes[MAGIC_BYTES..].split_at(HEAD_BYTES + 4);
        assert_ne!(first, second);
        let swapped = [FORMAT.magic, second, first].concat();
        assert!(matches!(FORMAT.parse(&swapped, MAGIC_BYTES), Parsed::Damaged(_)));
    }

    #[test]
    fn a_later_version_is_named() {
        assert_eq!(FORMAT.check_magic(b"fstest2\nrest"), Ok(()));
        assert_eq!(FORMAT.check_magic(b"fstest3\n"), Err(MagicError::Newer('3')));
        for other in [&b"fstest1\n"[..], b"fstest2\r", b"", b"fstest"] {
            assert_eq!(FORMAT.check_magic(other), Err(MagicError::Other));
        }
    }
}
