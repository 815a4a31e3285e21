//! AVX2: the reference code, compiled once more for AVX2 and BMI2.
//!
//! Encoding, packing and opening become 256-bit code; the transform stays scalar but gains MULX
//! (AVX2 has no 64-bit multiplication, so hand-written butterflies gain nothing). The module
//! `loops` has the hand-written code.
//!
//! Safety: each method calls a function that needs the CPU features named below, and takes an
//! [`Avx2`], which exists only where all of them were detected. Besides that, only loads and stores
//! are unsafe, and they take references to arrays of the right size.

#![allow(unsafe_code, reason = "CPU features that `Avx2` proves")]

mod loops;

use super::BlockKernel;
use crate::decrypt::SlotRange;
use crate::encode::{Quantised, Quantiser};
use crate::encrypt::BlockEncryption;
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// Proof that this machine has AVX2 and BMI2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        all.then_some(Self(()))
    }
}

impl BlockKernel for Avx2 {
    recompile! {
        "avx2,bmi2":
        fn ntt_forward(poly: &mut [u64], twiddles: &Twiddles, q: u64);
        fn ntt_inverse(poly: &mut [u64], twiddles: &Twiddles, q: u64);
        fn mul_pointwise(poly: &mut [u64], multiplier: &Multiplier, q: u64);
        fn shoup_quotients(values: &mut [u64], q: u64);
        fn mask_words(words: &mut [u64], mask: u64, modulus: u64) -> bool;
        fn pack(words: &[u64], bits: u32, out: &mut [u8]);
        fn quantise(
            values: &[f32],
            rounding: &[u16],
            quantiser: &Quantiser,
            shift: u32,
            out: &mut [u64],
        ) -> Quantised;
        fn add_noise_and_truncate(
            products: &mut [u64],
            errors: &[u64],
            messages: &[u64],
            encryption: &BlockEncryption,
        );
        fn recover_message(sums: &mut [u64], products: &[u64], opening: &BlockOpening) -> u64;
        fn extract_slot(
            messages: &[u64],
            range: &SlotRange,
            out: &mut [i64],
            canonical: &mut [i32],
        ) -> u64;
    }

    fn sample_gaussian(self, words: &mut [u64], table: &[u64]) {
        loops::sample_gaussian(self, words, table);
    }

    fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
        loops::unpack_add(self, packed, bits, sum)
    }
}
