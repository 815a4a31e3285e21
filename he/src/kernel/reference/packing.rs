//! Words to packed bytes and back: see `pack`.

use crate::pack::LANES;

#[inline(always)]
pub(in crate::kernel) fn pack(words: &[u64], bits: u32, out: &mut [u8]) {
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
pub(in crate::kernel) fn unpack_add(packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
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
