//! Transform, pointwise product, and the quotients that products need.

use crate::modular::{mul_shoup_lazy, reduce_once};
use crate::ring::{Multiplier, Twiddles};

#[inline(always)]
pub(in crate::kernel) fn ntt_forward(poly: &mut [u64], twiddles: &Twiddles, q: u64) {
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
pub(in crate::kernel) fn ntt_inverse(poly: &mut [u64], twiddles: &Twiddles, q: u64) {
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
pub(in crate::kernel) fn mul_pointwise(poly: &mut [u64], multiplier: &Multiplier, q: u64) {
    let factors = multiplier.values.iter().zip(multiplier.quotients.iter());
    for (x, (&w, &w_quotient)) in poly.iter_mut().zip(factors) {
        *x = mul_shoup_lazy(*x, w, w_quotient, q);
    }
}

/// Shoup quotients of secrets, in place: by long division with 64 steps, because the machine's
/// division takes a time that depends on its operands.
#[inline(always)]
pub(in crate::kernel) fn shoup_quotients(values: &mut [u64], q: u64) {
    let (runs, rest) = values.as_chunks_mut::<16>();
    for run in runs {
        divide(run, q);
    }
    let mut last = [0; 16];
    last.iter_mut().zip(rest.iter()).for_each(|(l, &value)| *l = value);
    divide(&mut last, q);
    rest.iter_mut().zip(last).for_each(|(value, l)| *value = l);
}

#[inline(always)]
fn divide(run: &mut [u64; 16], q: u64) {
    let mut rest = *run;
    let mut quotient = [0u64; 16];
    for _ in 0..64 {
        for (r, quotient) in rest.iter_mut().zip(&mut quotient) {
            let doubled = *r << 1;
            let reduced = doubled.min(doubled.wrapping_sub(q));
            *quotient = (*quotient << 1) | u64::from(reduced != doubled);
            *r = reduced;
        }
    }
    *run = quotient;
}
