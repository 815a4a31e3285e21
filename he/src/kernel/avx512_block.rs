//! The AVX-512 path: encoding, packing, adding up, opening.

#![allow(unsafe_code, reason = "CPU features that the token proves, and loads from references")]

use std::arch::x86_64::*;

use super::avx512::{Modulus, Token, load, mul_wide, reduce_once, store};
use super::{plain, scalar_block};
use crate::decrypt::SlotRange;
use crate::encode::{Met, Quantiser};
use crate::open::BlockOpening;
use crate::pack::LANES;

pub(super) fn encode(
    _: Token,
    values: &[f32],
    rounding: &[u16],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [u64],
) -> Met {
    let (rows, rest) = out.as_chunks_mut::<8>();
    let (value_rows, value_rest) = values.as_chunks::<8>();
    let (rounding_rows, rounding_rest) = rounding.as_chunks::<8>();
    // SAFETY: the token proves the features.
    let mut met = unsafe { encode_rows(value_rows, rounding_rows, quantiser, shift, rows) };
    // Values, rounding words and output need not end together: the shorter ones decide.
    if value_rows.len() == rows.len() {
        let rounding_rest = if rounding_rows.len() == rows.len() {
            rounding_rest
        } else {
            rounding_rows.get(rows.len()).map_or(rounding_rest, |row| row.as_slice())
        };
        let tail = scalar_block::encode(value_rest, rounding_rest, quantiser, shift, rest);
        met.clamped += tail.clamped;
        met.not_finite |= tail.not_finite;
    }
    met
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn encode_rows(
    values: &[[f32; 8]],
    rounding: &[[u16; 8]],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [[u64; 8]],
) -> Met {
    let (one, half) = (_mm512_set1_pd(1.0), _mm512_set1_pd(0.5));
    let step = _mm512_set1_pd(1.0 / 65536.0);
    let (factor, offset) = (_mm512_set1_pd(quantiser.factor), _mm512_set1_pd(quantiser.offset));
    let (top, last) = (_mm512_set1_pd(quantiser.top), _mm512_set1_pd(quantiser.top - 1.0));
    let shift = _mm_cvtsi64_si128(shift.into());
    let (mut clamped, mut strange) = (0, 0);
    for ((word, value), rounding) in out.iter_mut().zip(values).zip(rounding) {
        // SAFETY: the references are valid for 32 and 16 bytes; the loads have no alignment.
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
    Met { clamped, not_finite: strange != 0 }
}

/// Declares a function that runs plain code under the features of this path.
macro_rules! recompile {
    ($module:ident :: $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        pub(super) fn $name(_: Token, $($argument: $type),*) $(-> $result)? {
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,bmi2")]
            fn inner($($argument: $type),*) $(-> $result)? {
                $module::$name($($argument),*)
            }
            // SAFETY: the token proves the features.
            unsafe { inner($($argument),*) }
        }
    };
}

recompile!(scalar_block::seal_words(
    products: &mut [u64],
    errors: &[u64],
    messages: &[u64],
    shifts: [u32; 2],
    q: u64
));
recompile!(plain::quotients(values: &mut [u64], q: u64));
recompile!(plain::cut(words: &mut [u64], mask: u64, modulus: u64) -> bool);
recompile!(plain::take_slots(
    messages: &[u64],
    range: &SlotRange,
    out: &mut [i64],
    canonical: &mut [i32]
) -> u64);

pub(super) fn open_words(
    _: Token,
    sums: &mut [u64],
    products: &[u64],
    opening: &BlockOpening,
) -> u64 {
    let (rows, rest) = sums.as_chunks_mut::<8>();
    let (product_rows, product_rest) = products.as_chunks::<8>();
    // SAFETY: the token proves the features.
    let largest = unsafe { open_rows(rows, product_rows, opening) };
    // Blocks are whole rows: `rest` is empty, but the slice says so only at run time.
    largest.max(scalar_block::open_words(rest, product_rest, opening))
}

#[target_feature(enable = "avx512f,avx512dq")]
fn open_rows(sums: &mut [[u64; 8]], products: &[[u64; 8]], opening: &BlockOpening) -> u64 {
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

pub(super) fn pack(_: Token, words: &[u64], bits: u32, out: &mut [u8]) {
    #[target_feature(enable = "avx512f")]
    fn inner(words: &[[u64; 8]], bits: u32, out: &mut [[u8; 8 * LANES]]) {
        let mut rows_out = out.iter_mut();
        let mut emit = |held: __m512i| {
            if let Some(row) = rows_out.next() {
                // SAFETY: the reference is valid for 64 bytes, and the store has no alignment. The
                // machine is little-endian.
                unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), held) }
            }
        };
        let (mut held, mut filled) = (_mm512_setzero_si512(), 0);
        for row in words {
            let row = load(row);
            let low = _mm512_sll_epi64(row, _mm_cvtsi64_si128(filled));
            held = _mm512_or_si512(held, low);
            filled += i64::from(bits);
            if filled >= 64 {
                emit(held);
                filled -= 64;
                // Shifted by its whole width when it ended on the boundary: nothing is held.
                held = _mm512_srl_epi64(row, _mm_cvtsi64_si128(i64::from(bits) - filled));
            }
        }
        if filled > 0 {
            emit(held);
        }
    }
    // SAFETY: the token proves the features.
    unsafe { inner(words.as_chunks::<8>().0, bits, out.as_chunks_mut().0) }
}

pub(super) fn unpack_add(_: Token, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
    // SAFETY: the token proves the features.
    unsafe { unpack_rows(packed.as_chunks().0, bits, sum.as_chunks_mut().0) }
}

/// Eight packed words; the machine is little-endian.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; 8 * LANES]) -> __m512i {
    // SAFETY: the reference is valid for 64 bytes, and the load has no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// As the reference, with the shift counts in vectors: a shift by 64 gives zero, which the reference has to say. Each packed
/// row is loaded once; it may lie across two lines of the cache.
#[target_feature(enable = "avx512f")]
fn unpack_rows(packed: &[[u8; 8 * LANES]], bits: u32, sum: &mut [[u64; 8]]) -> u64 {
    let mask = _mm512_set1_epi64((u64::MAX >> (64 - bits)) as i64);
    let (mut held, mut largest) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let mut rows = packed.iter();
    let mut filled = 0;
    for s in sum {
        let mut word = held;
        if filled < bits {
            let row = rows.next().map_or(_mm512_setzero_si512(), |row| load_bytes(row));
            word = _mm512_or_si512(word, _mm512_sllv_epi64(row, count(filled)));
            held = _mm512_srlv_epi64(row, count(bits - filled));
            filled += 64 - bits;
        } else {
            held = _mm512_srlv_epi64(held, count(bits));
            filled -= bits;
        }
        let word = _mm512_and_si512(word, mask);
        store(s, _mm512_add_epi64(load(s), word));
        largest = _mm512_max_epu64(largest, word);
    }
    _mm512_reduce_max_epu64(largest)
}

/// A shift count for all lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn count(bits: u32) -> __m512i {
    _mm512_set1_epi64(bits.into())
}
