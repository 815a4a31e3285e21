//! Transform and pointwise product.
//!
//! Layers whose halves hold whole vectors need no permutation; the three layers inside a vector are
//! done together on two vectors at a time, with permutations between them. For moduli below 2^51
//! the 52-bit multiplier is used.

#![allow(unsafe_code, reason = "calls code compiled for CPU features that `Avx512` proves")]

use std::arch::x86_64::*;

use super::Avx512;
use super::vector::{Modulus, load, mul_52, mul_wide, reduce_once, store};
use crate::ring::{Multiplier, Twiddles};

/// The 52-bit product needs x < 2^52 for x < 2q.
fn fits_52(kernel: Avx512, q: u64) -> bool {
    kernel.ifma && q < 1 << 51
}

/// Defines the functions of this module for one modular product.
macro_rules! transform {
    ($module:ident, $features:literal, $mul:ident) => {
        mod $module {
            use super::*;

            /// (x, y) -> (x + w y, x - w y): inputs below 4q, outputs below 4q.
            #[inline]
            #[target_feature(enable = $features)]
            fn forward_step(
                x: __m512i,
                y: __m512i,
                (w, quotient): (__m512i, __m512i),
                m: Modulus,
            ) -> (__m512i, __m512i) {
                let u = reduce_once(x, m.two_q);
                let v = $mul(reduce_once(y, m.two_q), w, quotient, m);
                (_mm512_add_epi64(u, v), _mm512_sub_epi64(_mm512_add_epi64(u, m.two_q), v))
            }

            /// (x, y) -> (x + y, w (x - y)): inputs below 2q, outputs below 2q.
            #[inline]
            #[target_feature(enable = $features)]
            fn inverse_step(
                x: __m512i,
                y: __m512i,
                (w, quotient): (__m512i, __m512i),
                m: Modulus,
            ) -> (__m512i, __m512i) {
                let difference = _mm512_sub_epi64(_mm512_add_epi64(x, m.two_q), y);
                let sum = reduce_once(_mm512_add_epi64(x, y), m.two_q);
                (sum, $mul(reduce_once(difference, m.two_q), w, quotient, m))
            }

            #[target_feature(enable = $features)]
            pub(super) fn forward(rows: &mut [[u64; 8]], t: &Twiddles, q: u64) {
                let m = Modulus::new(q);
                let (mut half, mut groups) = (rows.len() / 2, 1);
                while half > 0 {
                    let roots = t.values[groups..].iter().zip(&t.quotients[groups..]);
                    for (pair, (&w, &quotient)) in rows.chunks_exact_mut(2 * half).zip(roots) {
                        let w = (_mm512_set1_epi64(w as i64), _mm512_set1_epi64(quotient as i64));
                        let (low, high) = pair.split_at_mut(half);
                        for (x, y) in low.iter_mut().zip(high) {
                            let (a, b) = forward_step(load(x), load(y), w, m);
                            store(x, a);
                            store(y, b);
                        }
                    }
                    half /= 2;
                    groups *= 2;
                }
                let inner = Inner::new(t, rows.len());
                for (pair, roots) in rows.as_chunks_mut::<2>().0.iter_mut().zip(inner.roots()) {
                    let (mut x, mut y) = (load(&pair[0]), load(&pair[1]));
                    let (low, high) = split::<4>(x, y);
                    (x, y) = forward_step(low, high, spread_two(roots.two), m);
                    (x, y) = join::<4>(x, y);
                    let (low, high) = split::<2>(x, y);
                    (x, y) = forward_step(low, high, spread_four(roots.four), m);
                    (x, y) = join::<2>(x, y);
                    let (low, high) = split::<1>(x, y);
                    (x, y) = forward_step(low, high, (load(roots.eight.0), load(roots.eight.1)), m);
                    (x, y) = join::<1>(x, y);
                    store(&mut pair[0], reduce_once(reduce_once(x, m.two_q), m.q));
                    store(&mut pair[1], reduce_once(reduce_once(y, m.two_q), m.q));
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn inverse(rows: &mut [[u64; 8]], t: &Twiddles, q: u64) {
                let m = Modulus::new(q);
                let inner = Inner::new(t, rows.len());
                for (pair, roots) in rows.as_chunks_mut::<2>().0.iter_mut().zip(inner.roots()) {
                    let (mut x, mut y) = (load(&pair[0]), load(&pair[1]));
                    let (low, high) = split::<1>(x, y);
                    (x, y) = inverse_step(low, high, (load(roots.eight.0), load(roots.eight.1)), m);
                    (x, y) = join::<1>(x, y);
                    let (low, high) = split::<2>(x, y);
                    (x, y) = inverse_step(low, high, spread_four(roots.four), m);
                    (x, y) = join::<2>(x, y);
                    let (low, high) = split::<4>(x, y);
                    (x, y) = inverse_step(low, high, spread_two(roots.two), m);
                    (x, y) = join::<4>(x, y);
                    store(&mut pair[0], x);
                    store(&mut pair[1], y);
                }
                let (mut half, mut groups) = (1, rows.len() / 2);
                while groups > 0 {
                    let roots = t.values[groups..].iter().zip(&t.quotients[groups..]);
                    for (pair, (&w, &quotient)) in rows.chunks_exact_mut(2 * half).zip(roots) {
                        let w = (_mm512_set1_epi64(w as i64), _mm512_set1_epi64(quotient as i64));
                        let (low, high) = pair.split_at_mut(half);
                        for (x, y) in low.iter_mut().zip(high) {
                            let (a, b) = inverse_step(load(x), load(y), w, m);
                            store(x, a);
                            store(y, b);
                        }
                    }
                    half *= 2;
                    groups /= 2;
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn pointwise(rows: &mut [[u64; 8]], multiplier: &Multiplier, q: u64) {
                let m = Modulus::new(q);
                let values = multiplier.values.as_chunks::<8>().0;
                let quotients = multiplier.quotients.as_chunks::<8>().0;
                for (row, (w, quotient)) in rows.iter_mut().zip(values.iter().zip(quotients)) {
                    store(row, $mul(load(row), load(w), load(quotient), m));
                }
            }
        }
    };
}

transform!(wide, "avx512f,avx512dq", mul_wide);
transform!(narrow, "avx512f,avx512dq,avx512ifma", mul_52);

/// Twiddles of the three layers inside a vector: values and quotients for each pair of vectors.
struct Inner<'a> {
    two: Layer<'a, 2>,
    four: Layer<'a, 4>,
    eight: Layer<'a, 8>,
}

/// Values and quotients of one layer, `COUNT` of each for a pair of vectors.
type Layer<'a, const COUNT: usize> = (&'a [[u64; COUNT]], &'a [[u64; COUNT]]);

/// The roots for one pair of vectors.
struct Roots<'a> {
    /// Stride 4: each for four words.
    two: (&'a [u64; 2], &'a [u64; 2]),
    /// Stride 2: each for two words.
    four: (&'a [u64; 4], &'a [u64; 4]),
    /// Stride 1.
    eight: (&'a [u64; 8], &'a [u64; 8]),
}

impl<'a> Inner<'a> {
    /// `rows` vectors of eight words: the layers of stride 4, 2 and 1 have one, two and four times
    /// `rows` groups.
    fn new(t: &'a Twiddles, rows: usize) -> Self {
        let layer =
            |groups: usize| (&t.values[groups..2 * groups], &t.quotients[groups..2 * groups]);
        let [two, four, eight] = [layer(rows), layer(2 * rows), layer(4 * rows)];
        Self {
            two: (two.0.as_chunks().0, two.1.as_chunks().0),
            four: (four.0.as_chunks().0, four.1.as_chunks().0),
            eight: (eight.0.as_chunks().0, eight.1.as_chunks().0),
        }
    }

    fn roots(&self) -> impl Iterator<Item = Roots<'a>> {
        let two = self.two.0.iter().zip(self.two.1);
        let four = self.four.0.iter().zip(self.four.1);
        let eight = self.eight.0.iter().zip(self.eight.1);
        two.zip(four).zip(eight).map(|((two, four), eight)| Roots { two, four, eight })
    }
}

/// Two roots and their quotients, each four times.
#[inline]
#[target_feature(enable = "avx512f")]
fn spread_two(words: (&[u64; 2], &[u64; 2])) -> (__m512i, __m512i) {
    let spread = _mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1);
    // SAFETY: the references are valid for 16 bytes each, and the loads need no alignment.
    let (w, quotient) = unsafe {
        (_mm_loadu_si128(words.0.as_ptr().cast()), _mm_loadu_si128(words.1.as_ptr().cast()))
    };
    let wide = |pair| _mm512_permutexvar_epi64(spread, _mm512_castsi128_si512(pair));
    (wide(w), wide(quotient))
}

/// Four roots and their quotients, each twice.
#[inline]
#[target_feature(enable = "avx512f")]
fn spread_four(words: (&[u64; 4], &[u64; 4])) -> (__m512i, __m512i) {
    let spread = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    // SAFETY: the references are valid for 32 bytes each, and the loads need no alignment.
    let (w, quotient) = unsafe {
        (_mm256_loadu_si256(words.0.as_ptr().cast()), _mm256_loadu_si256(words.1.as_ptr().cast()))
    };
    let wide = |four| _mm512_permutexvar_epi64(spread, _mm512_castsi256_si512(four));
    (wide(w), wide(quotient))
}

/// Splits sixteen consecutive words into the lower and the upper inputs of their butterflies.
#[inline]
#[target_feature(enable = "avx512f")]
fn split<const STRIDE: usize>(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
    let (low, high) = match STRIDE {
        4 => (
            _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11),
            _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15),
        ),
        2 => (
            _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13),
            _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15),
        ),
        _ => (
            _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
            _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15),
        ),
    };
    (_mm512_permutex2var_epi64(x, low, y), _mm512_permutex2var_epi64(x, high, y))
}

/// The inverse of `split`.
#[inline]
#[target_feature(enable = "avx512f")]
fn join<const STRIDE: usize>(low: __m512i, high: __m512i) -> (__m512i, __m512i) {
    let (x, y) = match STRIDE {
        4 => (
            _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11),
            _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15),
        ),
        2 => (
            _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
            _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15),
        ),
        _ => (
            _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11),
            _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15),
        ),
    };
    (_mm512_permutex2var_epi64(low, x, high), _mm512_permutex2var_epi64(low, y, high))
}

pub(super) fn ntt_forward(kernel: Avx512, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
    let rows = poly.as_chunks_mut::<8>().0;
    // SAFETY: `Avx512` exists only where the features were detected.
    unsafe {
        if fits_52(kernel, q) {
            narrow::forward(rows, twiddles, q);
        } else {
            wide::forward(rows, twiddles, q);
        }
    }
}

pub(super) fn ntt_inverse(kernel: Avx512, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
    let rows = poly.as_chunks_mut::<8>().0;
    // SAFETY: `Avx512` exists only where the features were detected.
    unsafe {
        if fits_52(kernel, q) {
            narrow::inverse(rows, twiddles, q);
        } else {
            wide::inverse(rows, twiddles, q);
        }
    }
}

pub(super) fn mul_pointwise(kernel: Avx512, poly: &mut [u64], multiplier: &Multiplier, q: u64) {
    let rows = poly.as_chunks_mut::<8>().0;
    // SAFETY: `Avx512` exists only where the features were detected.
    unsafe {
        if fits_52(kernel, q) {
            narrow::pointwise(rows, multiplier, q);
        } else {
            wide::pointwise(rows, multiplier, q);
        }
    }
}
