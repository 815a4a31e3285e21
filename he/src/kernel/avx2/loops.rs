//! The two hand-written loops: the sampler, which the compiler does not vectorise, and adding
//! packed words, where the compiler's version compares 63-bit words as unsigned and handles shifts
//! by 64 separately.

#![allow(unsafe_code, reason = "CPU features that `Avx2` proves, and loads from references")]

use std::arch::x86_64::*;

use super::Avx2;
use crate::kernel::reference;

/// Half a row of words.
type Half = [u64; 4];

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &Half) -> __m256i {
    // SAFETY: the reference is valid for 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(words: &mut Half, value: __m256i) {
    // SAFETY: the reference is valid for 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

/// A row of packed words; the machine is little-endian.
#[inline]
#[target_feature(enable = "avx2")]
fn load_packed(row: &[[u8; 32]; 2]) -> [__m256i; 2] {
    // SAFETY: the references are valid for 32 bytes, and the load needs no alignment.
    row.each_ref().map(|bytes| unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
}

/// A shift count for all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn count(bits: u32) -> __m128i {
    _mm_cvtsi32_si128(bits as i32)
}

pub(super) fn sample_gaussian(_: Avx2, words: &mut [u64], table: &[u64]) {
    let (runs, rest) = words.as_chunks_mut::<16>();
    // SAFETY: `Avx2` exists only where the features were detected.
    unsafe { count_entries(runs, table) };
    reference::sample_gaussian(rest, table);
}

/// As in the reference, every entry is compared with every word. Both have 63 bits, so the signed
/// comparison of AVX2 suffices; `word >= entry` is `word > entry - 1`.
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

pub(super) fn unpack_add(_: Avx2, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
    let (packed, sum) = (packed.as_chunks::<32>().0, sum.as_chunks_mut::<4>().0);
    // SAFETY: `Avx2` exists only where the features were detected.
    unsafe { unpack_rows(packed.as_chunks().0, bits, sum.as_chunks_mut().0) }
}

/// As in the reference, which has to handle a shift by 64; here it gives zero.
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
            // Words have at most 63 bits, so the signed comparison of AVX2 suffices.
            *top = _mm256_blendv_epi8(*top, word, _mm256_cmpgt_epi64(word, *top));
        }
    }
    let mut words = [[0; 4]; 2];
    words.iter_mut().zip(largest).for_each(|(words, top)| store(words, top));
    words.into_iter().flatten().max().unwrap_or(0)
}
