//! The reference path: plain Rust, no assumption about the machine.

use crate::modular::{mul_shoup_lazy, reduce_once};
use crate::pack::LANES;
use crate::ring::{Multiplier, Twiddles};

#[inline(always)]
pub(super) fn ntt_forward(poly: &mut [u64], twiddles: &Twiddles, q: u64) {
    let two_q = 2 * q;
    let mut half = poly.len() / 2;
    let mut groups = 1;
    while half > 0 {
        let roots = twiddles.values.iter().zip(&twiddles.quotients).skip(groups);
        for (pair, (&w, &w_quotient)) in poly.chunks_exact_mut(2 * half).zip(roots) {
            let (low, high) = pair.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                let u = reduce_once(*x, two_q);
                let v = mul_shoup_lazy(*y, w, w_quotient, q);
                *x = u + v;
                *y = u + two_q - v;
            }
        }
        half /= 2;
        groups *= 2;
    }
    for x in poly {
        *x = reduce_once(reduce_once(*x, two_q), q);
    }
}

#[inline(always)]
pub(super) fn ntt_inverse(poly: &mut [u64], twiddles: &Twiddles, q: u64) {
    let two_q = 2 * q;
    let mut half = 1;
    let mut groups = poly.len() / 2;
    while groups > 0 {
        let roots = twiddles.values.iter().zip(&twiddles.quotients).skip(groups);
        for (pair, (&w, &w_quotient)) in poly.chunks_exact_mut(2 * half).zip(roots) {
            let (low, high) = pair.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                let (u, v) = (*x, *y);
                *x = reduce_once(u + v, two_q);
                *y = mul_shoup_lazy(u + two_q - v, w, w_quotient, q);
            }
        }
        half *= 2;
        groups /= 2;
    }
}

#[inline(always)]
pub(super) fn mul_pointwise(poly: &mut [u64], multiplier: &Multiplier, q: u64) {
    let factors = multiplier.values.iter().zip(multiplier.quotients.iter());
    for (x, (&w, &w_quotient)) in poly.iter_mut().zip(factors) {
        *x = mul_shoup_lazy(*x, w, w_quotient, q);
    }
}

/// Compares with every entry of the table, whatever the word is: no branch and no address depends on
/// a sample. In runs of a fixed length, so that the compiler keeps the counts in vector registers.
#[inline(always)]
pub(super) fn gaussian(words: &mut [u64], table: &[u64]) {
    let (runs, rest) = words.as_chunks_mut::<16>();
    for run in runs {
        count_entries(run, table);
    }
    let mut last = [0; 16];
    last.iter_mut().zip(rest.iter()).for_each(|(l, &word)| *l = word);
    count_entries(&mut last, table);
    rest.iter_mut().zip(last).for_each(|(word, l)| *word = l);
}

#[inline(always)]
fn count_entries(run: &mut [u64; 16], table: &[u64]) {
    // Signed, because vector units below AVX-512 compare signed words only; both sides have 63 bits.
    let upper = run.map(|word| (word >> 1) as i64);
    let mut magnitudes = [0i64; 16];
    for &entry in table {
        for (magnitude, &word) in magnitudes.iter_mut().zip(&upper) {
            *magnitude += i64::from(word >= entry as i64);
        }
    }
    for (word, magnitude) in run.iter_mut().zip(magnitudes) {
        let sign = -((*word & 1) as i64);
        *word = ((magnitude ^ sign) - sign) as u64;
    }
}

#[inline(always)]
pub(super) fn pack(words: &[u64], bits: u32, out: &mut [u8]) {
    let mut held = [0u64; LANES];
    let mut filled = 0;
    let mut rows_out = out.chunks_exact_mut(8 * LANES);
    let mut emit = |held: &[u64; LANES]| {
        if let Some(row) = rows_out.next() {
            for (bytes, word) in row.chunks_exact_mut(8).zip(held) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
    };
    for row in words.chunks_exact(LANES) {
        for (h, &word) in held.iter_mut().zip(row) {
            *h |= word << filled;
        }
        filled += bits;
        if filled >= 64 {
            emit(&held);
            filled -= 64;
            for (h, &word) in held.iter_mut().zip(row) {
                // The bits of this word that did not fit; none when it ended on the boundary.
                *h = if filled == 0 { 0 } else { word >> (bits - filled) };
            }
        }
    }
    if filled > 0 {
        emit(&held);
    }
}

#[inline(always)]
pub(super) fn unpack_add(packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
    let mask = u64::MAX >> (64 - bits);
    let mut rows_in = packed.chunks_exact(8 * LANES);
    let mut held = [0u64; LANES];
    let mut filled = 0;
    let mut largest = [0u64; LANES];
    for row in sum.chunks_exact_mut(LANES) {
        let mut words = held;
        if filled < bits {
            if let Some(row_in) = rows_in.next() {
                for (h, bytes) in held.iter_mut().zip(row_in.chunks_exact(8)) {
                    *h = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
                }
            }
            for (word, h) in words.iter_mut().zip(&mut held) {
                *word |= *h << filled;
                let used = bits - filled;
                *h = if used == 64 { 0 } else { *h >> used };
            }
            filled += 64 - bits;
        } else {
            for h in &mut held {
                *h >>= bits;
            }
            filled -= bits;
        }
        for ((s, word), top) in row.iter_mut().zip(words).zip(&mut largest) {
            let word = word & mask;
            *s = s.wrapping_add(word);
            *top = (*top).max(word);
        }
    }
    largest.into_iter().max().unwrap_or(0)
}
