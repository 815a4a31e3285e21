//! One canonical, bounded encoding for everything on the wire, in the journal and in the ledger.
//!
//! postcard leaves freedom (overlong integers, trailing bytes); decoding here takes it away: what
//! decodes encodes back to the same bytes, so a digest or a signature over a value is one over its
//! bytes.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Versions;

/// Room that fits most messages, so that encoding them does not copy again and again.
const USUAL_BYTES: usize = 512;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Over the limit for its kind.
    #[error("{what} of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// What was read or written.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not an encoding of this kind.
    #[error("{what} cannot be decoded: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// postcard's reason.
        reason: String,
    },
    /// Of a version that this program does not read.
    #[error(
        "{what} was written by {} version of this program (version {found}, this one reads {} to {}): {}",
        if *found > u32::from(read.newest) { "a later" } else { "an earlier" },
        read.oldest,
        read.newest,
        if *found > u32::from(read.newest) { "upgrade to read it" } else { "read it with that one" }
    )]
    Version {
        /// What was read.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The versions that can be read.
        read: Versions,
    },
    /// Decodes, but not from its one canonical encoding.
    #[error("{what} is not in canonical form")]
    NotCanonical {
        /// What was read.
        what: &'static str,
    },
}

/// The canonical bytes of `value`.
///
/// # Errors
/// [`CodecError::TooLong`] over `limit`; [`CodecError::Malformed`] if postcard refuses, which no
/// type of this crate gives it reason to.
pub fn encode<T: Serialize>(
    what: &'static str,
    value: &T,
    limit: usize,
) -> Result<Vec<u8>, CodecError> {
    let bytes = postcard::serialize_with_flavor(value, Buffer(Vec::with_capacity(USUAL_BYTES)))
        .map_err(|error| CodecError::Malformed { what, reason: error.to_string() })?;
    if bytes.len() > limit {
        return Err(CodecError::TooLong { what, length: bytes.len(), limit });
    }
    Ok(bytes)
}

/// The value whose canonical bytes are `bytes`.
///
/// # Errors
/// See [`CodecError`].
pub fn decode<T: Serialize + DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLong { what, length: bytes.len(), limit });
    }
    let value: T = postcard::from_bytes(bytes)
        .map_err(|error| CodecError::Malformed { what, reason: error.to_string() })?;
    // from_bytes ignores trailing bytes; encoding again catches them, and overlong integers.
    match postcard::serialize_with_flavor(&value, Same { rest: bytes }) {
        Ok(true) => Ok(value),
        _ => Err(CodecError::NotCanonical { what }),
    }
}

/// Writes an encoding in slices; postcard's own writes it byte by byte.
struct Buffer(Vec<u8>);

impl Flavor for Buffer {
    type Output = Vec<u8>;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// Compares an encoding with bytes instead of writing it.
struct Same<'a> {
    rest: &'a [u8],
}

impl Flavor for Same<'_> {
    /// Whether nothing is left over.
    type Output = bool;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.rest = self.rest.strip_prefix(data).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_encoding_decodes() {
        let bytes = encode("pair", &(300_u64, 7_u8), 16).unwrap();
        assert_eq!(decode::<(u64, u8)>("pair", &bytes, 16).unwrap(), (300, 7));
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(
            decode::<(u64, u8)>("pair", &longer, 16),
            Err(CodecError::NotCanonical { .. })
        ));
        assert!(matches!(
            decode::<(u64, u8)>("pair", &[0x81, 0x00, 7], 16),
            Err(CodecError::NotCanonical { .. })
        ));
        assert!(matches!(decode::<u64>("pair", &bytes, 1), Err(CodecError::TooLong { .. })));
        assert!(matches!(encode("pair", &[0_u8; 20], 8), Err(CodecError::TooLong { .. })));
    }
}
