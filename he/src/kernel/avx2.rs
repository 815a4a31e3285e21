//! The AVX2 path: the reference code, compiled once more for AVX2 and BMI2.
//!
//! Encoding, packing and additions become 256-bit code; the transform stays scalar but gains MULX (AVX2
//! has no 64-bit product, so butterflies by hand win nothing there). The sampler is written by hand: the
//! compiler does not find its vector form.
//!
//! Safety: each function here calls a function that needs the CPU features named below, and takes a
//! [`Token`], which exists only where all of them were detected. Beside that only loads and stores are
//! unsafe, and they take references to arrays of the right size.

#![allow(unsafe_code, reason = "CPU features that the token proves, and loads from references")]

use std::arch::x86_64::*;

use super::{plain, scalar, scalar_block};
use crate::decrypt::SlotRange;
use crate::encode::{Met, Quantiser};
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// Proof that this machine has the features of this path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(());

impl Token {
    pub(super) fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        all.then_some(Self(()))
    }
}

/// Declares a function that runs the reference code under the features.
macro_rules! recompile {
    ($module:ident :: $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        pub(super) fn $name(_: Token, $($argument: $type),*) $(-> $result)? {
            #[target_feature(enable = "avx2,bmi2")]
            fn inner($($argument: $type),*) $(-> $result)? {
                $module::$name($($argument),*)
            }
            // SAFETY: the token proves the features.
            unsafe { inner($($argument),*) }
        }
    };
}

recompile!(scalar::ntt_forward(poly: &mut [u64], twiddles: &Twiddles, q: u64));
recompile!(scalar::ntt_inverse(poly: &mut [u64], twiddles: &Twiddles, q: u64));
recompile!(scalar::mul_pointwise(poly: &mut [u64], multiplier: &Multiplier, q: u64));
recompile!(scalar::pack(words: &[u64], bits: u32, out: &mut [u8]));
recompile!(scalar::unpack_add(packed: &[u8], bits: u32, sum: &mut [u64]) -> u64);
recompile!(scalar_block::encode(
    values: &[f32],
    rounding: &[u16],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [u64]
) -> Met);
recompile!(scalar_block::seal_words(
    products: &mut [u64],
    errors: &[u64],
    messages: &[u64],
    shifts: [u32; 2],
    q: u64
));
recompile!(scalar_block::open_words(
    sums: &mut [u64],
    products: &[u64],
    opening: &BlockOpening
) -> u64);
recompile!(plain::quotients(values: &mut [u64], q: u64));
recompile!(plain::cut(words: &mut [u64], mask: u64, modulus: u64) -> bool);
recompile!(plain::take_slots(
    messages: &[u64],
    range: &SlotRange,
    out: &mut [i64],
    canonical: &mut [i32]
) -> u64);

pub(super) fn gaussian(_: Token, words: &mut [u64], table: &[u64]) {
    let (runs, rest) = words.as_chunks_mut::<16>();
    // SAFETY: the token proves the features.
    unsafe { count_entries(runs, table) };
    scalar::gaussian(rest, table);
}

/// As the reference: every entry is compared with every word. Both have 63 bits, so the signed
/// comparison of AVX2 will do; `word >= entry` is `word > entry - 1`.
#[target_feature(enable = "avx2")]
fn count_entries(runs: &mut [[u64; 16]], table: &[u64]) {
    let one = _mm256_set1_epi64x(1);
    for run in runs {
        let rows = run.as_chunks_mut::<4>().0;
        let mut words = [_mm256_setzero_si256(); 4];
        for (word, row) in words.iter_mut().zip(rows.iter()) {
            // SAFETY: the reference is valid for 32 bytes, and the load has no alignment.
            *word = unsafe { _mm256_loadu_si256(row.as_ptr().cast()) };
        }
        let upper = words.map(|word| _mm256_srli_epi64::<1>(word));
        let mut counts = [_mm256_setzero_si256(); 4];
        for &entry in table {
            let below = _mm256_set1_epi64x(entry as i64 - 1);
            for (count, &word) in counts.iter_mut().zip(&upper) {
                *count = _mm256_sub_epi64(*count, _mm256_cmpgt_epi64(word, below));
            }
        }
        for ((row, &word), count) in rows.iter_mut().zip(&words).zip(counts) {
            let sign = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_and_si256(word, one));
            let sample = _mm256_sub_epi64(_mm256_xor_si256(count, sign), sign);
            // SAFETY: the reference is valid for 32 bytes, and the store has no alignment.
            unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), sample) };
        }
    }
}
