//! The layout of entries in the file.
//!
//! ```text
//! file  = "FSJRNL01" | file key (16 random bytes) | entry*
//! entry = length u32 | round u64 | check of these two, 4 bytes | check of the body, 16 bytes | body
//! ```
//! Little-endian; checks are truncated keyed BLAKE3, also over the offset. The key keeps bytes that
//! a remote chose from passing as an entry; the offset keeps an entry from being taken for another.

use fedshield_protocol::ids::Round;

/// First bytes of the file.
pub(super) const MAGIC: &[u8; 8] = b"FSJRNL01";
/// Magic and file key.
pub(super) const HEADER_BYTES: usize = 24;
/// Length of what precedes a body.
pub(super) const ENTRY_HEADER_BYTES: usize = 32;
/// The longest body of an entry.
pub const MAX_ENTRY_BYTES: usize = 16 << 20;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The round it belongs to.
    pub round: Round,
    /// The body, opaque to the journal.
    pub bytes: Vec<u8>,
}

/// Encodes and checks entries of one file.
#[derive(Debug, Clone)]
pub(super) struct Format {
    key: [u8; 32],
}

/// The result of parsing at an offset.
pub(super) enum Parsed {
    /// A valid entry, and its length in the file in bytes.
    Entry(StoredEntry, usize),
    /// Not a valid entry, and why.
    Bad(&'static str),
}

impl Format {
    pub(super) fn new(file_key: &[u8; 16]) -> Self {
        Self { key: blake3::derive_key("fedshield v1 daemon journal", file_key) }
    }

    /// The bytes of an entry that starts at `offset`.
    pub(super) fn encode(&self, offset: u64, round: Round, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRY_HEADER_BYTES + body.len());
        // The caller has checked the length against MAX_ENTRY_BYTES.
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&round.0.to_le_bytes());
        let head: [u8; 4] = self.check(offset, b"head", &out);
        let check: [u8; 16] = self.check(offset, b"body", body);
        out.extend_from_slice(&head);
        out.extend_from_slice(&check);
        out.extend_from_slice(body);
        out
    }

    /// Reads the entry that starts at `offset` of `file`.
    pub(super) fn parse(&self, file: &[u8], offset: usize) -> Parsed {
        let Some(rest) = file.get(offset..) else { return Parsed::Bad("past the end") };
        let Some((header, rest)) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>() else {
            return Parsed::Bad("its header is cut off");
        };
        let [l0, l1, l2, l3, r0, r1, r2, r3, r4, r5, r6, r7, ..] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let round = [r0, r1, r2, r3, r4, r5, r6, r7];
        let head: [u8; 4] = self.check(offset as u64, b"head", &header[..12]);
        if header[12..16] != head || length > MAX_ENTRY_BYTES {
            return Parsed::Bad("its header does not match its checksum");
        }
        let Some(body) = rest.get(..length) else { return Parsed::Bad("its body is cut off") };
        let check: [u8; 16] = self.check(offset as u64, b"body", body);
        if header[16..] != check {
            return Parsed::Bad("its body does not match its checksum");
        }
        let entry = StoredEntry { round: Round(u64::from_le_bytes(round)), bytes: body.to_vec() };
        Parsed::Entry(entry, ENTRY_HEADER_BYTES + length)
    }

    fn check<const N: usize>(&self, offset: u64, part: &[u8], bytes: &[u8]) -> [u8; N] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&offset.to_le_bytes()).update(part).update(bytes);
        let mut out = [0; N];
        hasher.finalize_xof().fill(&mut out);
        out
    }
}
