//! One block of a sum, opened: messages and the largest residual.

use crate::context::RoundContext;
use crate::kernel::BlockKernel;
use crate::modular::Factor;
use crate::params::Preset;
use crate::ring::Multiplier;

/// The constants of opening a block of a sum of `contributors` ciphertexts.
///
/// With C the sum of the wire words, l dropped bits and truncation in 0 ..= n (2^l - 1), the word
/// `C 2^l + floor(n (2^l - 1) / 2) + 2^(s-1) - a K mod q` is `2^s M + 2^(s-1) + e`, where e is the
/// sum of the errors plus the centred truncation.
#[derive(Clone, Copy)]
pub(crate) struct BlockOpening {
    pub(crate) modulus: u64,
    pub(crate) scale_bits: u32,
    /// 2^l.
    pub(crate) undrop: Factor,
    /// floor(n (2^l - 1) / 2) + 2^(s-1).
    pub(crate) centre: u64,
    /// Twice the lowest s bits of a word without error, exact even where the centre of the
    /// truncation is a half-integer.
    pub(crate) rest_x2: i64,
    /// Largest residual, times two, that is accepted.
    pub(crate) bound_x2: u64,
}

impl BlockOpening {
    pub(crate) fn new(preset: &Preset, contributors: u16) -> Self {
        let truncation = u64::from(contributors) * ((1 << preset.dropped_bits()) - 1);
        Self {
            modulus: preset.modulus(),
            scale_bits: preset.scale_bits(),
            undrop: Factor::new(1 << preset.dropped_bits(), preset.modulus()),
            centre: truncation / 2 + (1 << (preset.scale_bits() - 1)),
            rest_x2: (1 << preset.scale_bits()) - (truncation % 2) as i64,
            bound_x2: preset.residual_bound_x2(contributors),
        }
    }

    /// Replaces the sums of wire words by messages, with `products` as scratch space for one block.
    /// Returns whether every residual lies within the bound.
    pub(crate) fn open(
        &self,
        context: &RoundContext,
        key: &Multiplier,
        block: u64,
        sums: &mut [u64],
        products: &mut [u64],
    ) -> bool {
        context.crs_seed().expand(context.kernel(), block, self.modulus, products);
        context.ring().multiply(products, key);
        context.kernel().recover_message(sums, products, self) <= self.bound_x2
    }
}
