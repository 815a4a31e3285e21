//! From values to wire words, and from a sum back to values.

use crate::decrypt::SlotRange;
use crate::encode::{Quantised, Quantiser};
use crate::encrypt::BlockEncryption;
use crate::modular::reduce_once;
use crate::open::BlockOpening;

#[inline(always)]
pub(in crate::kernel) fn quantise(
    values: &[f32],
    rounding: &[u16],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [u64],
) -> Quantised {
    let mut found = Quantised::default();
    for ((word, &value), &rounding) in out.iter_mut().zip(values).zip(rounding) {
        let (slot, clamped) = quantiser.slot(value, rounding);
        found.clamped += u64::from(clamped);
        found.not_finite |= !value.is_finite();
        *word |= slot << shift;
    }
    found
}

/// Per coefficient `(a k + e + 2^s m mod q) >> l`.
#[inline(always)]
pub(in crate::kernel) fn add_noise_and_truncate(
    products: &mut [u64],
    errors: &[u64],
    messages: &[u64],
    encryption: &BlockEncryption,
) {
    let q = encryption.modulus;
    for ((x, &error), &message) in products.iter_mut().zip(errors).zip(messages) {
        let error = error.wrapping_add(((error as i64 >> 63) as u64) & q);
        let sum = reduce_once(reduce_once(*x, q) + error, q);
        let sum = reduce_once(sum + (message << encryption.scale_bits), q);
        *x = sum >> encryption.dropped_bits;
    }
}

#[inline(always)]
pub(in crate::kernel) fn recover_message(
    sums: &mut [u64],
    products: &[u64],
    opening: &BlockOpening,
) -> u64 {
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

/// One slot of every message: `out` gets the sums without their offset, `canonical` the same in 32
/// bits for the digest. Returns how many lie outside the range.
#[inline(always)]
pub(in crate::kernel) fn extract_slot(
    messages: &[u64],
    range: &SlotRange,
    out: &mut [i64],
    canonical: &mut [i32],
) -> u64 {
    let mut outside = 0;
    for ((&message, slot), short) in messages.iter().zip(out).zip(canonical) {
        let value = ((message >> range.shift) & range.mask) as i64 - range.offset;
        outside += u64::from(value.wrapping_abs() > range.limit);
        *slot = value;
        // At most 24 bits of value and 10 of members; a sum that is truncated here is out of range.
        *short = (value as i32).to_le();
    }
    outside
}
