//! Eight words in a register: loads and stores, modular products.

#![allow(unsafe_code, reason = "loads and stores of references")]

use std::arch::x86_64::*;

/// Loads eight words.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference is valid for 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// Stores eight words.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(words: &mut [u64; 8], value: __m512i) {
    // SAFETY: the reference is valid for 64 bytes, and the store needs no alignment.
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
/// bits: at most two too small, so the remainder lies below 4q before the last reduction. (The
/// exact ladder is recognised by LLVM as a 64-bit product and taken apart into scalar ones, which
/// costs three times the time.)
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

/// Shoup's product with the 52-bit multiplier: `x * w mod q` in 0..2q, for x < 2^52 and q < 2^51.
/// The 52-bit quotient is the 64-bit one without its last twelve bits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn mul_52(x: __m512i, w: __m512i, quotient: __m512i, m: Modulus) -> __m512i {
    let zero = _mm512_setzero_si512();
    let high = _mm512_madd52hi_epu64(zero, x, _mm512_srli_epi64::<12>(quotient));
    let product = _mm512_madd52lo_epu64(zero, x, w);
    let multiple = _mm512_madd52lo_epu64(zero, high, m.q);
    _mm512_and_si512(_mm512_sub_epi64(product, multiple), _mm512_set1_epi64((1 << 52) - 1))
}
