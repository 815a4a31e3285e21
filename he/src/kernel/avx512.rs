//! The AVX-512 path: its token, loads and stores, modular products, and the sampler.
//!
//! Safety: every function with target features is reached only through a function that takes a
//! [`Token`], which exists only where all of these features were detected. Loads and stores take
//! references to arrays of the right size, so no pointer arithmetic is done anywhere in this path.

#![allow(unsafe_code, reason = "CPU features that the token proves, and loads from references")]

use std::arch::x86_64::*;

/// Proof that this machine has the features of this path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// The 52-bit multiplier is there too.
    pub(super) ifma: bool,
}

impl Token {
    pub(super) fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("bmi2");
        all.then(|| Self { ifma: is_x86_feature_detected!("avx512ifma") })
    }
}

/// Eight words.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference is valid for 64 bytes, and the load has no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// Eight words.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(words: &mut [u64; 8], value: __m512i) {
    // SAFETY: the reference is valid for 64 bytes, and the store has no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

/// `x mod m` for x < 2m.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn reduce_once(x: __m512i, m: __m512i) -> __m512i {
    _mm512_min_epu64(x, _mm512_sub_epi64(x, m))
}

/// A modulus, broadcast.
#[derive(Clone, Copy)]
pub(super) struct Modulus {
    pub(super) q: __m512i,
    pub(super) two_q: __m512i,
}

impl Modulus {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new(q: u64) -> Self {
        let q = _mm512_set1_epi64(q as i64);
        Self { q, two_q: _mm512_add_epi64(q, q) }
    }
}

/// Shoup's product with 64-bit words: `x * w mod q` in 0..2q for any x and q < 2^62.
///
/// The upper word of x * quotient is summed from three of its four partial products, each cut to 32
/// bits: at most two too small, so the remainder lies below 4q before the last reduction. (The exact ladder is
/// recognised by LLVM as a 64-bit product and taken apart into scalar ones, which costs three times the time.)
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn mul_wide(x: __m512i, w: __m512i, quotient: __m512i, m: Modulus) -> __m512i {
    let (x_high, quotient_high) = (_mm512_srli_epi64::<32>(x), _mm512_srli_epi64::<32>(quotient));
    let one = _mm512_srli_epi64::<32>(_mm512_mul_epu32(x_high, quotient));
    let other = _mm512_srli_epi64::<32>(_mm512_mul_epu32(x, quotient_high));
    let upper = _mm512_mul_epu32(x_high, quotient_high);
    let high = _mm512_add_epi64(upper, _mm512_add_epi64(one, other));
    let rest = _mm512_sub_epi64(_mm512_mullo_epi64(x, w), _mm512_mullo_epi64(high, m.q));
    reduce_once(rest, m.two_q)
}

/// Shoup's product with the 52-bit multiplier: `x * w mod q` in 0..2q, for x < 2^52 and q < 2^51. The
/// 52-bit quotient is the 64-bit one without its last twelve bits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn mul_52(x: __m512i, w: __m512i, quotient: __m512i, m: Modulus) -> __m512i {
    let zero = _mm512_setzero_si512();
    let high = _mm512_madd52hi_epu64(zero, x, _mm512_srli_epi64::<12>(quotient));
    let product = _mm512_madd52lo_epu64(zero, x, w);
    let multiple = _mm512_madd52lo_epu64(zero, high, m.q);
    _mm512_and_si512(_mm512_sub_epi64(product, multiple), _mm512_set1_epi64((1 << 52) - 1))
}

pub(super) fn gaussian(_: Token, words: &mut [u64], table: &[u64]) {
    let levels = Levels::new(table);
    let (rows, rest) = words.as_chunks_mut::<8>();
    // SAFETY: the token proves the features.
    unsafe { search(rows, &levels) };
    super::scalar::gaussian(rest, table);
}

/// A sorted table of up to 63 entries, as the levels of a binary search: level k holds what is compared
/// after k comparisons.
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
        // Beyond the table stands what no 63-bit word reaches.
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
/// entries are picked by permutations, whose time does not depend on the index. No memory is addressed by
/// a secret.
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
