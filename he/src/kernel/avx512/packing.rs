//! Packing, and adding packed words.

#![allow(unsafe_code, reason = "CPU features that `Avx512` proves, and loads from references")]

use std::arch::x86_64::*;

use super::Avx512;
use super::vector::{load, store};
use crate::pack::LANES;

pub(super) fn pack(_: Avx512, words: &[u64], bits: u32, out: &mut [u8]) {
    #[target_feature(enable = "avx512f")]
    fn inner(words: &[[u64; 8]], bits: u32, out: &mut [[u8; 8 * LANES]]) {
        let mut rows_out = out.iter_mut();
        let mut emit = |held: __m512i| {
            if let Some(row) = rows_out.next() {
                // SAFETY: the reference is valid for 64 bytes, and the store needs no alignment.
                // The machine is little-endian.
                unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), held) }
            }
        };
        let (mut held, mut filled) = (_mm512_setzero_si512(), 0);
        for row in words {
            let row = load(row);
            let low = _mm512_sll_epi64(row, _mm_cvtsi64_si128(filled));
            held = _mm512_or_si512(held, low);
            filled += i64::from(bits);
            if filled >= 64 {
                emit(held);
                filled -= 64;
                // A word that ended on the boundary is shifted out entirely: nothing is held.
                held = _mm512_srl_epi64(row, _mm_cvtsi64_si128(i64::from(bits) - filled));
            }
        }
        if filled > 0 {
            emit(held);
        }
    }
    // SAFETY: `Avx512` exists only where the features were detected.
    unsafe { inner(words.as_chunks::<8>().0, bits, out.as_chunks_mut().0) }
}

pub(super) fn unpack_add(_: Avx512, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
    // SAFETY: `Avx512` exists only where the features were detected.
    unsafe { unpack_rows(packed.as_chunks().0, bits, sum.as_chunks_mut().0) }
}

/// Eight packed words; the machine is little-endian.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; 8 * LANES]) -> __m512i {
    // SAFETY: the reference is valid for 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// As in the reference, with the shift counts in vectors: a shift by 64 gives zero, which the
/// reference has to handle. Each packed row is loaded once; it may straddle two cache lines.
#[target_feature(enable = "avx512f")]
fn unpack_rows(packed: &[[u8; 8 * LANES]], bits: u32, sum: &mut [[u64; 8]]) -> u64 {
    let mask = _mm512_set1_epi64((u64::MAX >> (64 - bits)) as i64);
    let (mut held, mut largest) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let mut rows = packed.iter();
    let mut filled = 0;
    for s in sum {
        let mut word = held;
        if filled < bits {
            let row = rows.next().map_or(_mm512_setzero_si512(), |row| load_bytes(row));
            word = _mm512_or_si512(word, _mm512_sllv_epi64(row, count(filled)));
            held = _mm512_srlv_epi64(row, count(bits - filled));
            filled += 64 - bits;
        } else {
            held = _mm512_srlv_epi64(held, count(bits));
            filled -= bits;
        }
        let word = _mm512_and_si512(word, mask);
        store(s, _mm512_add_epi64(load(s), word));
        largest = _mm512_max_epu64(largest, word);
    }
    _mm512_reduce_max_epu64(largest)
}

/// A shift count for all lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn count(bits: u32) -> __m512i {
    _mm512_set1_epi64(bits.into())
}
