//! The reference as an implementation of its own, for machines without a supported vector unit.

use super::{BlockKernel, reference};
use crate::decrypt::SlotRange;
use crate::encode::{Quantised, Quantiser};
use crate::encrypt::BlockEncryption;
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// Runs everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scalar;

impl BlockKernel for Scalar {
    #[inline]
    fn ntt_forward(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        reference::ntt_forward(poly, twiddles, q);
    }

    #[inline]
    fn ntt_inverse(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        reference::ntt_inverse(poly, twiddles, q);
    }

    #[inline]
    fn mul_pointwise(self, poly: &mut [u64], multiplier: &Multiplier, q: u64) {
        reference::mul_pointwise(poly, multiplier, q);
    }

    #[inline]
    fn shoup_quotients(self, values: &mut [u64], q: u64) {
        reference::shoup_quotients(values, q);
    }

    #[inline]
    fn sample_gaussian(self, words: &mut [u64], table: &[u64]) {
        reference::sample_gaussian(words, table);
    }

    #[inline]
    fn mask_words(self, words: &mut [u64], mask: u64, modulus: u64) -> bool {
        reference::mask_words(words, mask, modulus)
    }

    #[inline]
    fn pack(self, words: &[u64], bits: u32, out: &mut [u8]) {
        reference::pack(words, bits, out);
    }

    #[inline]
    fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
        reference::unpack_add(packed, bits, sum)
    }

    #[inline]
    fn quantise(
        self,
        values: &[f32],
        rounding: &[u16],
        quantiser: &Quantiser,
        shift: u32,
        out: &mut [u64],
    ) -> Quantised {
        reference::quantise(values, rounding, quantiser, shift, out)
    }

    #[inline]
    fn add_noise_and_truncate(
        self,
        products: &mut [u64],
        errors: &[u64],
        messages: &[u64],
        encryption: &BlockEncryption,
    ) {
        reference::add_noise_and_truncate(products, errors, messages, encryption);
    }

    #[inline]
    fn recover_message(self, sums: &mut [u64], products: &[u64], opening: &BlockOpening) -> u64 {
        reference::recover_message(sums, products, opening)
    }

    #[inline]
    fn extract_slot(
        self,
        messages: &[u64],
        range: &SlotRange,
        out: &mut [i64],
        canonical: &mut [i32],
    ) -> u64 {
        reference::extract_slot(messages, range, out, canonical)
    }
}
