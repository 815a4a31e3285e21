//! The sampler: a binary search within registers.

#![allow(unsafe_code, reason = "CPU features that `Avx512` proves")]

use std::arch::x86_64::*;

use super::Avx512;
use super::vector::{load, store};
use crate::kernel::reference;

pub(super) fn sample_gaussian(_: Avx512, words: &mut [u64], table: &[u64]) {
    let levels = Levels::new(table);
    let (rows, rest) = words.as_chunks_mut::<8>();
    // SAFETY: `Avx512` exists only where the features were detected.
    unsafe { search(rows, &levels) };
    reference::sample_gaussian(rest, table);
}

/// A sorted table of up to 63 entries, as the levels of a binary search: level k holds the entries
/// that may be compared after k comparisons.
struct Levels {
    root: u64,
    /// Levels 1, 2 and 3 with 2, 4 and 8 entries.
    small: [[u64; 8]; 3],
    /// Level 4, 16 entries.
    fourth: [[u64; 8]; 2],
    /// Level 5, 32 entries.
    fifth: [[u64; 8]; 4],
}

impl Levels {
    fn new(table: &[u64]) -> Self {
        // Positions beyond the table hold a value that no 63-bit word reaches.
        let entry = |i: usize| table.get(i).copied().unwrap_or(u64::MAX);
        let level = |k: u32, i: usize| entry((32 >> (k - 1)) * i + (16 >> (k - 1)) - 1);
        let row = |k: u32, from: usize| std::array::from_fn(|i| level(k, from + i));
        Self {
            root: entry(31),
            small: [row(1, 0), row(2, 0), row(3, 0)],
            fourth: [row(4, 0), row(4, 8)],
            fifth: [row(5, 0), row(5, 8), row(5, 16), row(5, 24)],
        }
    }
}

/// Counts by binary search within registers: six comparisons for every word, whatever it is; the
/// entries are picked by permutations, whose time does not depend on the index. No memory is
/// addressed by a secret.
#[target_feature(enable = "avx512f,avx512dq")]
fn search(rows: &mut [[u64; 8]], levels: &Levels) {
    let one = _mm512_set1_epi64(1);
    let root = _mm512_set1_epi64(levels.root as i64);
    let small = [load(&levels.small[0]), load(&levels.small[1]), load(&levels.small[2])];
    let fourth = [load(&levels.fourth[0]), load(&levels.fourth[1])];
    let fifth = [
        load(&levels.fifth[0]),
        load(&levels.fifth[1]),
        load(&levels.fifth[2]),
        load(&levels.fifth[3]),
    ];
    for row in rows {
        let word = load(row);
        let r = _mm512_srli_epi64::<1>(word);
        let mut count = _mm512_maskz_mov_epi64(_mm512_cmpge_epu64_mask(r, root), one);
        for level in small {
            let reached = _mm512_cmpge_epu64_mask(r, _mm512_permutexvar_epi64(count, level));
            let doubled = _mm512_add_epi64(count, count);
            count = _mm512_mask_add_epi64(doubled, reached, doubled, one);
        }
        let entry = _mm512_permutex2var_epi64(fourth[0], count, fourth[1]);
        let reached = _mm512_cmpge_epu64_mask(r, entry);
        let doubled = _mm512_add_epi64(count, count);
        count = _mm512_mask_add_epi64(doubled, reached, doubled, one);
        let low = _mm512_permutex2var_epi64(fifth[0], count, fifth[1]);
        let high = _mm512_permutex2var_epi64(fifth[2], count, fifth[3]);
        let upper = _mm512_test_epi64_mask(count, _mm512_set1_epi64(16));
        let entry = _mm512_mask_blend_epi64(upper, low, high);
        let reached = _mm512_cmpge_epu64_mask(r, entry);
        let doubled = _mm512_add_epi64(count, count);
        count = _mm512_mask_add_epi64(doubled, reached, doubled, one);
        let sign = _mm512_sub_epi64(_mm512_setzero_si512(), _mm512_and_si512(word, one));
        store(row, _mm512_sub_epi64(_mm512_xor_si512(count, sign), sign));
    }
}
