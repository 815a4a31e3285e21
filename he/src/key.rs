//! The opened key: the sum of the one-time keys of a set. Public once a quorum has answered.
//!
//! ```text
//! header (member = number of contributors), 32 id of the set, 2 N coefficients, two's complement
//! ```

use crate::context::RoundContext;
use crate::error::{Error, Fault};
use crate::params::Preset;
use crate::set::ContributorSet;
use crate::wire::{HEADER_LEN, Kind, Parser, header};

/// K, within 42 |U| in every coefficient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedKey {
    set: [u8; 32],
    coefficients: Vec<i32>,
}

impl OpenedKey {
    pub(crate) fn new(set: [u8; 32], coefficients: Vec<i32>) -> Self {
        Self { set, coefficients }
    }

    pub(crate) fn coefficients(&self) -> &[i32] {
        &self.coefficients
    }

    /// Id of the set whose sum it opens.
    pub fn set(&self) -> &[u8; 32] {
        &self.set
    }

    /// For the wire. The bound of 42 * 700 fits 16 bits.
    pub fn to_bytes(&self, context: &RoundContext, set: &ContributorSet) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + 32 + 2 * self.coefficients.len());
        bytes.extend_from_slice(&header(context, Kind::OpenedKey, set.len()));
        bytes.extend_from_slice(&self.set);
        for &c in &self.coefficients {
            bytes.extend_from_slice(&(c as i16).to_le_bytes());
        }
        bytes
    }

    /// From the wire. The key still has to pass its check: [`decrypt`](crate::decrypt) does that.
    ///
    /// # Errors
    /// [`Error::Remote`] from member 0: a key has no single author.
    pub fn from_bytes(
        context: &RoundContext,
        set: &ContributorSet,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let mut parser = Parser::new(bytes, 0);
        let contributors = parser.header(context, Kind::OpenedKey)?;
        let found: [u8; 32] = parser.array("set")?;
        if found != *set.id() || contributors != set.len() {
            return Err(Error::remote(0, "set", Fault::WrongSet));
        }
        let bound = Preset::key_bound(set.len()) as i32;
        let pairs = parser.take("coefficients", 2 * context.preset().ring_degree())?;
        let mut coefficients = Vec::with_capacity(context.preset().ring_degree());
        for (index, pair) in pairs.chunks_exact(2).enumerate() {
            let c = i32::from(i16::from_le_bytes([pair[0], pair[1]]));
            if c.abs() > bound {
                return Err(Error::remote(0, "coefficients", Fault::OutOfRange(index as u64)));
            }
            coefficients.push(c);
        }
        parser.end("coefficients")?;
        Ok(Self { set: found, coefficients })
    }
}
