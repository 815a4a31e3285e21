//! The header that every object begins with, and bounded reading.
//!
//! ```text
//! 0   4  magic "FSHE"
//! 4   1  version: 1, and 2 of ciphertexts and aggregates with the slots of a measurement
//! 5   1  kind
//! 6   2  share index of the member that made it; in an aggregate and an opened key the number of
//!        contributors
//! 8   4  first bytes of BLAKE3 derive-key, context `fedshield-he v1 preset name`, over that name
//! 12  12 first bytes of the round tag: manifest, round and preset
//! ```
//! All numbers are little-endian.

use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::sharing::ShareIndex;

const MAGIC: [u8; 4] = *b"FSHE";
const VERSION: u8 = 1;
const MEASURED_VERSION: u8 = 2;

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 24;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Ciphertext = 1,
    Aggregate = 2,
    Commitment = 3,
    ShareOpening = 4,
    PartialDecryption = 5,
    OpenedKey = 6,
}

/// The header of an object, with the `number` of its member or of its contributors.
pub(crate) fn header(context: &RoundContext, kind: Kind, number: u16) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..4].copy_from_slice(&MAGIC);
    let has_slots = matches!(kind, Kind::Ciphertext | Kind::Aggregate);
    bytes[4] = if has_slots && context.is_measured() { MEASURED_VERSION } else { VERSION };
    bytes[5] = kind as u8;
    bytes[6..8].copy_from_slice(&number.to_le_bytes());
    let name = context.preset().name().as_bytes();
    let preset = blake3::derive_key("fedshield-he v1 preset name", name);
    bytes[8..12].copy_from_slice(&preset[..4]);
    bytes[12..].copy_from_slice(&context.tag()[..12]);
    bytes
}

/// Reads fields off the front of a slice; each error names the field and the member.
pub(crate) struct Parser<'a> {
    rest: &'a [u8],
    member: Option<ShareIndex>,
}

impl<'a> Parser<'a> {
    /// Bytes of `member`, or of several members together.
    pub(crate) fn new(bytes: &'a [u8], member: impl Into<Option<ShareIndex>>) -> Self {
        Self { rest: bytes, member: member.into() }
    }

    pub(crate) fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Error::remote(
            self.member,
            field,
            Fault::Truncated,
        ))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const L: usize>(&mut self, field: &'static str) -> Result<[u8; L], Error> {
        let mut array = [0; L];
        array.copy_from_slice(self.take(field, L)?);
        Ok(array)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// Checks the header and returns its number.
    pub(crate) fn header(&mut self, context: &RoundContext, kind: Kind) -> Result<u16, Error> {
        let found: [u8; HEADER_LEN] = self.array("header")?;
        let number = u16::from_le_bytes([found[6], found[7]]);
        let expected = header(context, kind, number);
        let fault = if found[..4] != expected[..4] || found[5] != expected[5] {
            Fault::Kind
        } else if found[4] != expected[4] {
            Fault::Version(found[4])
        } else if found[8..12] != expected[8..12] {
            Fault::WrongPreset
        } else if found[12..] != expected[12..] {
            Fault::WrongRound
        } else {
            return Ok(number);
        };
        Err(Error::remote(self.member, "header", fault))
    }

    /// Checks the header and that it names this member.
    pub(crate) fn header_of(
        &mut self,
        context: &RoundContext,
        kind: Kind,
        member: ShareIndex,
    ) -> Result<(), Error> {
        let found = self.header(context, kind)?;
        if found == member.get() {
            return Ok(());
        }
        Err(Error::remote(self.member, "header", Fault::WrongMember(found)))
    }

    /// Reads `count` field elements.
    pub(crate) fn elements(
        &mut self,
        field: &'static str,
        count: usize,
    ) -> Result<zeroize::Zeroizing<Vec<u16>>, Error> {
        let bytes = self.take(field, 2 * count)?;
        let mut elements = zeroize::Zeroizing::new(Vec::with_capacity(count));
        for (index, pair) in bytes.chunks_exact(2).enumerate() {
            let element = u16::from_le_bytes([pair[0], pair[1]]);
            if u32::from(element) >= crate::params::SHARE_MODULUS {
                let fault = Fault::OutOfRange(index as u64);
                return Err(Error::remote(self.member, field, fault));
            }
            elements.push(element);
        }
        Ok(elements)
    }

    /// Refuses trailing bytes after the last field.
    pub(crate) fn end(self, field: &'static str) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::remote(self.member, field, Fault::Oversized))
    }
}

/// Appends field elements.
pub(crate) fn push_elements(out: &mut Vec<u8>, elements: &[u16]) {
    elements.iter().for_each(|e| out.extend_from_slice(&e.to_le_bytes()));
}
