//! The AVX2 path: the reference code, compiled once more for AVX2 and BMI2.
//!
//! Encoding, packing and opening become 256-bit code; the transform stays scalar but gains MULX (AVX2
//! has no 64-bit product, so butterflies by hand win nothing there). Two loops are written by hand: the sampler, whose
//! vector form the compiler does not find, and adding packed words, where its form compares as unsigned what has 63 bits
//! and asks for shifts by 64.
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

/// Half a row of words.
type Half = [u64; 4];

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &Half) -> __m256i {
    // SAFETY: the reference is valid for 32 bytes, and the load has no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(words: &mut Half, value: __m256i) {
    // SAFETY: the reference is valid for 32 bytes, and the store has no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

/// A row of packed words; the machine is little-endian.
#[inline]
#[target_feature(enable = "avx2")]
fn load_packed(row: &[[u8; 32]; 2]) -> [__m256i; 2] {
    // SAFETY: the references are valid for 32 bytes, and the load has no alignment.
    row.each_ref().map(|bytes| unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
}

/// A shift count for all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn count(bits: u32) -> __m128i {
    _mm_cvtsi32_si128(bits as i32)
}

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
            *word = load(row);
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
            store(row, sample);
        }
    }
}

pub(super) fn unpack_add(_: Token, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
    let (packed, sum) = (packed.as_chunks::<32>().0, sum.as_chunks_mut::<4>().0);
    // SAFETY: the token proves the features.
    unsafe { unpack_rows(packed.as_chunks().0, bits, sum.as_chunks_mut().0) }
}

/// As the reference; a shift by 64 gives zero, which the reference has to say.
#[target_feature(enable = "avx2")]
fn unpack_rows(packed: &[[[u8; 32]; 2]], bits: u32, sum: &mut [[Half; 2]]) -> u64 {
    let mask = _mm256_set1_epi64x((u64::MAX >> (64 - bits)) as i64);
    let zero = [_mm256_setzero_si256(); 2];
    let (mut held, mut largest) = (zero, zero);
    let mut rows = packed.iter();
    let mut filled = 0;
    for s in sum {
        let mut word = held;
        if filled < bits {
            let row = rows.next().map_or(zero, |row| load_packed(row));
            let (left, right) = (count(filled), count(bits - filled));
            for half in 0..2 {
                word[half] = _mm256_or_si256(word[half], _mm256_sll_epi64(row[half], left));
                held[half] = _mm256_srl_epi64(row[half], right);
            }
            filled += 64 - bits;
        } else {
            held = held.map(|held| _mm256_srl_epi64(held, count(bits)));
            filled -= bits;
        }
        for ((s, word), top) in s.iter_mut().zip(word).zip(&mut largest) {
            let word = _mm256_and_si256(word, mask);
            store(s, _mm256_add_epi64(load(s), word));
            // Words have at most 63 bits, so the signed comparison of AVX2 will do.
            *top = _mm256_blendv_epi8(*top, word, _mm256_cmpgt_epi64(word, *top));
        }
    }
    let mut words = [[0; 4]; 2];
    words.iter_mut().zip(largest).for_each(|(words, top)| store(words, top));
    words.into_iter().flatten().max().unwrap_or(0)
}
