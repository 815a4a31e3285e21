//! The opened key: the sum of the one-time keys of a set. Public once a quorum has answered.
//!
//! ```text
//! header (number of contributors), 32 id of the set, 2 N coefficients, two's complement
//! ```

use crate::context::RoundContext;
use crate::digest::SetId;
use crate::error::{Error, Fault};
use crate::params::Preset;
use crate::set::ContributorSet;
use crate::wire::{HEADER_LEN, Kind, Parser, header};

/// K, the sum of the one-time keys of a set: N coefficients, each at most 42 |U| in absolute value.
///
/// It may be published, because RLWE stays hard when a sum of keys is known: the hint-RLWE of Kim,
/// Lee, Seo and Song (Crypto 2023, ePrint 2023/623), here without loss (docs/CRYPTO.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedKey {
    set: SetId,
    coefficients: Vec<i32>,
}

impl OpenedKey {
    pub(crate) fn new(set: SetId, coefficients: Vec<i32>) -> Self {
        Self { set, coefficients }
    }

    pub(crate) fn coefficients(&self) -> &[i32] {
        &self.coefficients
    }

    /// The set whose sum it opens.
    pub fn set(&self) -> SetId {
        self.set
    }

    /// For the wire: 56 + 2 N bytes. The bound of 42 * 700 fits 16 bits.
    pub fn to_bytes(&self, context: &RoundContext, set: &ContributorSet) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + 32 + 2 * self.coefficients.len());
        bytes.extend_from_slice(&header(context, Kind::OpenedKey, set.len()));
        bytes.extend_from_slice(self.set.as_bytes());
        for &c in &self.coefficients {
            bytes.extend_from_slice(&(c as i16).to_le_bytes());
        }
        bytes
    }

    /// From the wire. The key still has to pass its check: [`decrypt`](crate::decrypt) does that.
    ///
    /// # Errors
    /// [`Error::Remote`] without a member: a key has no single author.
    pub fn from_bytes(
        context: &RoundContext,
        set: &ContributorSet,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let (contributors, key) = Self::of_any_set(context, bytes)?;
        if key.set != set.id() || contributors != set.len() {
            return Err(Error::remote(None, "set", Fault::WrongSet));
        }
        Ok(key)
    }

    /// Reads a key without knowing its set; the number of contributors is taken from its header.
    pub(crate) fn of_any_set(context: &RoundContext, bytes: &[u8]) -> Result<(u16, Self), Error> {
        let mut parser = Parser::new(bytes, None);
        let contributors = parser.header(context, Kind::OpenedKey)?;
        let set = SetId::new(parser.array("set")?);
        let bound = Preset::key_bound(contributors) as i32;
        let pairs = parser.take("coefficients", 2 * context.preset().ring_degree())?;
        let mut coefficients = Vec::with_capacity(context.preset().ring_degree());
        for (index, pair) in pairs.chunks_exact(2).enumerate() {
            let c = i32::from(i16::from_le_bytes([pair[0], pair[1]]));
            if c.abs() > bound {
                return Err(Error::remote(None, "coefficients", Fault::OutOfRange(index as u64)));
            }
            coefficients.push(c);
        }
        parser.end("coefficients")?;
        Ok((contributors, Self { set, coefficients }))
    }
}
