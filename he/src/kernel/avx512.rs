//! AVX-512.
//!
//! Safety: every function with target features is reached only through a function that takes an
//! [`Avx512`], which exists only where all of these features were detected. Loads and stores take
//! references to arrays of the right size, so no pointer arithmetic is done anywhere here.

#![allow(unsafe_code, reason = "CPU features that `Avx512` proves")]

mod block;
mod packing;
mod sampling;
mod transform;
mod vector;

use super::BlockKernel;
use crate::decrypt::SlotRange;
use crate::encode::{Quantised, Quantiser};
use crate::encrypt::BlockEncryption;
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// Proof that this machine has AVX-512 F, DQ, BW and VL, and BMI2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx512 {
    /// Whether the 52-bit multiplier (IFMA) is present too.
    ifma: bool,
}

impl Avx512 {
    pub(super) fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("bmi2");
        all.then(|| Self { ifma: is_x86_feature_detected!("avx512ifma") })
    }
}

impl BlockKernel for Avx512 {
    fn ntt_forward(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        transform::ntt_forward(self, poly, twiddles, q);
    }

    fn ntt_inverse(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        transform::ntt_inverse(self, poly, twiddles, q);
    }

    fn mul_pointwise(self, poly: &mut [u64], multiplier: &Multiplier, q: u64) {
        transform::mul_pointwise(self, poly, multiplier, q);
    }

    fn sample_gaussian(self, words: &mut [u64], table: &[u64]) {
        sampling::sample_gaussian(self, words, table);
    }

    fn pack(self, words: &[u64], bits: u32, out: &mut [u8]) {
        packing::pack(self, words, bits, out);
    }

    fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
        packing::unpack_add(self, packed, bits, sum)
    }

    fn quantise(
        self,
        values: &[f32],
        rounding: &[u16],
        quantiser: &Quantiser,
        shift: u32,
        out: &mut [u64],
    ) -> Quantised {
        block::quantise(self, values, rounding, quantiser, shift, out)
    }

    fn recover_message(self, sums: &mut [u64], products: &[u64], opening: &BlockOpening) -> u64 {
        block::recover_message(self, sums, products, opening)
    }

    recompile! {
        "avx512f,avx512dq,avx512bw,avx512vl,bmi2":
        fn shoup_quotients(values: &mut [u64], q: u64);
        fn mask_words(words: &mut [u64], mask: u64, modulus: u64) -> bool;
        fn add_noise_and_truncate(
            products: &mut [u64],
            errors: &[u64],
            messages: &[u64],
            encryption: &BlockEncryption,
        );
        fn extract_slot(
            messages: &[u64],
            range: &SlotRange,
            out: &mut [i64],
            canonical: &mut [i32],
        ) -> u64;
    }
}
