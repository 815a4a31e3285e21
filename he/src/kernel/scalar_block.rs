//! The reference path, continued: from values to wire words, and from a sum back to messages.

use crate::encode::{Met, Quantiser};
use crate::modular::reduce_once;
use crate::open::BlockOpening;

#[inline(always)]
pub(super) fn encode(
    values: &[f32],
    rounding: &[u16],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [u64],
) -> Met {
    let mut met = Met::default();
    for ((word, &value), &rounding) in out.iter_mut().zip(values).zip(rounding) {
        let (slot, clamped) = quantiser.slot(value, rounding);
        met.clamped += u64::from(clamped);
        met.not_finite |= !value.is_finite();
        *word |= slot << shift;
    }
    met
}

#[inline(always)]
pub(super) fn seal_words(
    products: &mut [u64],
    errors: &[u64],
    messages: &[u64],
    [scale_bits, dropped_bits]: [u32; 2],
    q: u64,
) {
    for ((x, &error), &message) in products.iter_mut().zip(errors).zip(messages) {
        let error = error.wrapping_add(((error as i64 >> 63) as u64) & q);
        let sum = reduce_once(reduce_once(*x, q) + error, q);
        let sum = reduce_once(sum + (message << scale_bits), q);
        *x = sum >> dropped_bits;
    }
}

#[inline(always)]
pub(super) fn open_words(sums: &mut [u64], products: &[u64], opening: &BlockOpening) -> u64 {
    let q = opening.modulus;
    let mut largest = 0;
    for (sum, &product) in sums.iter_mut().zip(products) {
        let shifted = reduce_once(opening.undrop.mul_lazy(*sum, q), q);
        let difference = reduce_once(shifted + q - reduce_once(product, q), q);
        let word = reduce_once(difference + opening.centre, q);
        *sum = word >> opening.scale_bits;
        let rest = (word & ((1 << opening.scale_bits) - 1)) as i64;
        let residual = 2 * rest - opening.rest_x2;
        largest = largest.max(residual.unsigned_abs());
    }
    largest
}
