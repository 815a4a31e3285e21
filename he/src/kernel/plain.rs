//! Loops that no path writes by hand: the compiler's vector code for each of them is good enough.

use crate::decrypt::SlotRange;

/// Shoup quotients of secrets, in place: by long division with 64 steps, because the machine's division
/// takes a time that depends on its operands.
#[inline(always)]
pub(super) fn quotients(values: &mut [u64], q: u64) {
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

/// Cuts words to a mask; true when a cut word is `modulus` or more.
#[inline(always)]
pub(super) fn cut(words: &mut [u64], mask: u64, modulus: u64) -> bool {
    let mut rejected = 0;
    for word in words {
        *word &= mask;
        rejected |= u64::from(*word >= modulus);
    }
    rejected != 0
}

/// One slot of every message: `out` gets the sums without their offset, `canonical` the same in 32 bits for the
/// digest. Returns how many lie outside the range.
#[inline(always)]
pub(super) fn take_slots(
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
        // 24 bits of value and 10 of members at most; what is cut here is out of range.
        *short = (value as i32).to_le();
    }
    outside
}
