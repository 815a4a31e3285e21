//! Where each number of an update is stored in the blocks of its ciphertext.
//!
//! Slots are numbered: first the values, then limbs, one byte each: 32 for the nonce and, in rounds
//! whose updates carry a measurement, three for that (`measurement`). A limb is 8 bits in a slot
//! whose values have b >= 8 bits, so the sum of n limbs fits wherever the sum of n values does, and
//! nothing ever carries: the sum of the nonces is the vector of 32 sums.
//!
//! With the limbs of a measurement it is the second version of this layout, which the header of
//! ciphertexts and aggregates names (`wire`).
//!
//! A block holds S * T slots in T coefficients: coefficient i carries slot `base + s * T + i` in
//! its s-th lowest slot. T = N, except in the last of several blocks, where T is the number of
//! coefficients that are needed, rounded up to a multiple of eight; the coefficients above T are
//! not sent. Slots after the last limb hold zero.

use crate::error::Error;
use crate::measurement::MEASUREMENT_LIMBS;
use crate::params::Preset;

/// Limbs that carry the nonce.
pub(crate) const NONCE_LIMBS: usize = 32;
/// Most values in one update: 2^40, far above any adapter, so that no length computation overflows.
pub(crate) const MAX_VALUES: u64 = 1 << 40;

/// The blocks of an update with a given number of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    preset: &'static Preset,
    value_count: u64,
    /// Limbs after the values.
    limbs: usize,
}

impl Layout {
    /// The layout of updates without a measurement.
    ///
    /// # Errors
    /// [`Error::Argument`] for more than [`MAX_VALUES`] values.
    pub(crate) fn new(preset: &'static Preset, value_count: u64) -> Result<Self, Error> {
        if value_count > MAX_VALUES {
            return Err(Error::argument("value count", "too many"));
        }
        Ok(Self { preset, value_count, limbs: NONCE_LIMBS })
    }

    /// The layout of updates that carry a measurement.
    pub(crate) fn with_measurement(self) -> Self {
        Self { limbs: NONCE_LIMBS + MEASUREMENT_LIMBS, ..self }
    }

    pub(crate) fn value_count(&self) -> u64 {
        self.value_count
    }

    /// Limbs after the values.
    pub(crate) fn limbs(&self) -> usize {
        self.limbs
    }

    pub(crate) fn slots(&self) -> u64 {
        self.value_count + self.limbs as u64
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.slots().div_ceil(self.preset.slots_per_block() as u64)
    }

    /// First slot of a block.
    pub(crate) fn base(&self, block: u64) -> u64 {
        block * self.preset.slots_per_block() as u64
    }

    /// Coefficients of a block that are sent.
    pub(crate) fn coefficients(&self, block: u64) -> usize {
        let left = self.slots().saturating_sub(self.base(block));
        if block == 0 || left >= self.preset.slots_per_block() as u64 {
            return self.preset.ring_degree();
        }
        let needed = (left as usize).div_ceil(self.preset.slots_per_coefficient());
        needed.next_multiple_of(8)
    }

    /// Bytes of a block whose words have `bits` bits.
    pub(crate) fn block_len(&self, block: u64, bits: u32) -> usize {
        crate::pack::packed_len(self.coefficients(block), bits)
    }

    /// Bytes of all blocks.
    pub(crate) fn blocks_len(&self, bits: u32) -> u64 {
        let last = self.blocks() - 1;
        last * self.block_len(0, bits) as u64 + self.block_len(last, bits) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_cut_and_a_single_block_is_whole() {
        let preset = Preset::by_name("rlwe-sum/b16/n16").unwrap();
        let layout = |values| Layout::new(preset, values).unwrap();
        assert_eq!(layout(0).blocks(), 1);
        assert_eq!(layout(0).coefficients(0), 4096);
        assert_eq!(layout(8192 - 32).blocks(), 1);
        assert_eq!(layout(8192 - 31).blocks(), 2);
        assert_eq!(layout(8192 - 31).coefficients(1), 8);
        assert_eq!(layout(8192).coefficients(1), 16);
        assert_eq!(layout(2 * 8192 - 32).coefficients(1), 4096);
        assert_eq!(layout(1 << 20).blocks(), 129);
        let measured = |values| layout(values).with_measurement();
        assert_eq!(measured(8192 - 35).blocks(), 1);
        assert_eq!(measured(8192 - 34).blocks(), 2);
        assert_eq!(measured(0).blocks(), 1);
        assert!(Layout::new(preset, MAX_VALUES + 1).is_err());
        let bytes = layout(1 << 20).blocks_len(preset.wire_bits());
        assert_eq!(bytes, 128 * 4096 * 45 / 8 + 2 * 64);
    }
}
