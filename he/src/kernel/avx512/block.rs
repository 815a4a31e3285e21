//! Quantisation, and recovering the messages of a sum.

#![allow(unsafe_code, reason = "CPU features that `Avx512` proves, and loads from references")]

use std::arch::x86_64::*;

use super::Avx512;
use super::vector::{Modulus, load, mul_wide, reduce_once, store};
use crate::encode::{Quantised, Quantiser};
use crate::kernel::reference;
use crate::open::BlockOpening;

pub(super) fn quantise(
    _: Avx512,
    values: &[f32],
    rounding: &[u16],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [u64],
) -> Quantised {
    let (rows, rest) = out.as_chunks_mut::<8>();
    let (value_rows, value_rest) = values.as_chunks::<8>();
    let (rounding_rows, rounding_rest) = rounding.as_chunks::<8>();
    // SAFETY: `Avx512` exists only where the features were detected.
    let mut found = unsafe { quantise_rows(value_rows, rounding_rows, quantiser, shift, rows) };
    // Values, rounding words and output may have different lengths: the shortest decides.
    if value_rows.len() == rows.len() {
        let rounding_rest = if rounding_rows.len() == rows.len() {
            rounding_rest
        } else {
            rounding_rows.get(rows.len()).map_or(rounding_rest, |row| row.as_slice())
        };
        let tail = reference::quantise(value_rest, rounding_rest, quantiser, shift, rest);
        found.clamped += tail.clamped;
        found.not_finite |= tail.not_finite;
    }
    found
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn quantise_rows(
    values: &[[f32; 8]],
    rounding: &[[u16; 8]],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [[u64; 8]],
) -> Quantised {
    let (one, half) = (_mm512_set1_pd(1.0), _mm512_set1_pd(0.5));
    let step = _mm512_set1_pd(1.0 / 65536.0);
    let (factor, offset) = (_mm512_set1_pd(quantiser.factor), _mm512_set1_pd(quantiser.offset));
    let (top, last) = (_mm512_set1_pd(quantiser.top), _mm512_set1_pd(quantiser.top - 1.0));
    let shift = _mm_cvtsi64_si128(shift.into());
    let (mut clamped, mut strange) = (0, 0);
    for ((word, value), rounding) in out.iter_mut().zip(values).zip(rounding) {
        // SAFETY: the references are valid for 32 and 16 bytes; the loads need no alignment.
        let (x, r) =
            unsafe { (_mm256_loadu_ps(value.as_ptr()), _mm_loadu_si128(rounding.as_ptr().cast())) };
        let x = _mm512_cvtps_pd(x);
        let r = _mm512_cvtepi32_pd(_mm256_cvtepu16_epi32(r));
        let dither = _mm512_mul_pd(_mm512_add_pd(r, half), step);
        // Not fused: the reference rounds after the product.
        let exact = _mm512_add_pd(_mm512_add_pd(_mm512_mul_pd(x, factor), dither), offset);
        let low = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(exact, one);
        let high = _mm512_cmp_pd_mask::<_CMP_GE_OQ>(exact, top);
        clamped += u64::from((low | high).count_ones());
        // x - x is a NaN for infinities and NaNs.
        let difference = _mm512_sub_pd(x, x);
        strange |= _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(difference, difference);
        let slot = _mm512_cvttpd_epu64(_mm512_min_pd(_mm512_max_pd(exact, one), last));
        store(word, _mm512_or_si512(load(word), _mm512_sll_epi64(slot, shift)));
    }
    Quantised { clamped, not_finite: strange != 0 }
}

pub(super) fn recover_message(
    _: Avx512,
    sums: &mut [u64],
    products: &[u64],
    opening: &BlockOpening,
) -> u64 {
    let (rows, rest) = sums.as_chunks_mut::<8>();
    let (product_rows, product_rest) = products.as_chunks::<8>();
    // SAFETY: `Avx512` exists only where the features were detected.
    let largest = unsafe { recover_rows(rows, product_rows, opening) };
    // Blocks are whole rows: `rest` is empty, but the slice says so only at run time.
    largest.max(reference::recover_message(rest, product_rest, opening))
}

#[target_feature(enable = "avx512f,avx512dq")]
fn recover_rows(sums: &mut [[u64; 8]], products: &[[u64; 8]], opening: &BlockOpening) -> u64 {
    let m = Modulus::new(opening.modulus);
    let undrop = _mm512_set1_epi64(opening.undrop.value as i64);
    let quotient = _mm512_set1_epi64(opening.undrop.quotient as i64);
    let centre = _mm512_set1_epi64(opening.centre as i64);
    let scale = _mm_cvtsi64_si128(opening.scale_bits.into());
    let low_bits = _mm512_set1_epi64((1 << opening.scale_bits) - 1);
    let expected = _mm512_set1_epi64(opening.rest_x2);
    let mut largest = _mm512_setzero_si512();
    for (sum, product) in sums.iter_mut().zip(products) {
        let shifted = reduce_once(mul_wide(load(sum), undrop, quotient, m), m.q);
        let product = reduce_once(load(product), m.q);
        let difference = _mm512_sub_epi64(_mm512_add_epi64(shifted, m.q), product);
        let word = _mm512_add_epi64(reduce_once(difference, m.q), centre);
        let word = reduce_once(word, m.q);
        store(sum, _mm512_srl_epi64(word, scale));
        let rest = _mm512_and_si512(word, low_bits);
        let residual = _mm512_sub_epi64(_mm512_add_epi64(rest, rest), expected);
        largest = _mm512_max_epu64(largest, _mm512_abs_epi64(residual));
    }
    _mm512_reduce_max_epu64(largest)
}
