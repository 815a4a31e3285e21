//! K-quants: blocks of 256 values in 8 or 16 sub-blocks, whose scales (and minima) are small
//! integers times one f16.

use super::half_at;

/// 16 bytes of scales and minima (a nibble each), 64 bytes of bit pairs, d f16, dmin f16; 16
/// sub-blocks of 16. Bits 2j and 2j + 1 of 32 bytes form a run of 32 values.
pub(super) fn q2_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, d_min) = (half_at(block, 80), half_at(block, 82));
    for run in 0..8 {
        let bytes = &block[16 + 32 * (run / 4)..][..32];
        let shift = 2 * (run % 4);
        for (i, byte) in bytes.iter().enumerate() {
            let packed = block[2 * run + i / 16];
            let (scale, min) = (d * f32::from(packed & 15), d_min * f32::from(packed >> 4));
            out.push(scale * f32::from((byte >> shift) & 3) - min);
        }
    }
}

/// 32 bytes of third bits, 64 bytes of bit pairs, 12 bytes of scales (six bits each), d f16; 16
/// sub-blocks of 16. A third bit that is not set subtracts 4.
pub(super) fn q3_k(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 108);
    let (high, scales) = (&block[..32], &block[96..108]);
    for run in 0..8 {
        let bytes = &block[32 + 32 * (run / 4)..][..32];
        let shift = 2 * (run % 4);
        for i in 0..32 {
            let scale = d * six_bit_scale(scales, 2 * run + i / 16);
            let low = i16::from((bytes[i] >> shift) & 3);
            let taken = if (high[i] >> run) & 1 == 1 { 0 } else { 4 };
            out.push(scale * f32::from(low - taken));
        }
    }
}

/// Scale `j` of 16: four low bits in the first eight bytes, two high bits in the last four.
fn six_bit_scale(packed: &[u8], j: usize) -> f32 {
    let low = if j < 8 { packed[j] & 15 } else { packed[j - 8] >> 4 };
    let high = (packed[8 + j % 4] >> (2 * (j / 4))) & 3;
    f32::from(i16::from(low | high << 4) - 32)
}

/// Scale and minimum of sub-block `j` of 8, six bits each, packed in 12 bytes.
fn scale_and_min(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (
            (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4),
            (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4),
        )
    };
    (f32::from(scale), f32::from(min))
}

/// d f16, dmin f16, 12 bytes of scales, 128 bytes of nibbles; 8 sub-blocks of 32.
pub(super) fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    for (pair, bytes) in block[16..].chunks_exact(32).enumerate() {
        for (half, shift) in [0u8, 4].into_iter().enumerate() {
            let (scale, min) = scale_and_min(&block[4..16], 2 * pair + half);
            let (scale, min) = (d * scale, d_min * min);
            out.extend(bytes.iter().map(|b| scale * f32::from((b >> shift) & 15) - min));
        }
    }
}

/// As Q4_K, with a fifth bit from 32 bytes: sub-block j uses bit j of each.
pub(super) fn q5_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    let high = &block[16..48];
    for (pair, bytes) in block[48..].chunks_exact(32).enumerate() {
        for (half, shift) in [0u8, 4].into_iter().enumerate() {
            let j = 2 * pair + half;
            let (scale, min) = scale_and_min(&block[4..16], j);
            let (scale, min) = (d * scale, d_min * min);
            out.extend(bytes.iter().zip(high).map(|(b, h)| {
                let q = ((b >> shift) & 15) | (((h >> j) & 1) << 4);
                scale * f32::from(q) - min
            }));
        }
    }
}

/// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, d f16; two halves of 128
/// values, each of four runs of 32.
pub(super) fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 208);
    for half in 0..2 {
        let low = &block[64 * half..64 * half + 64];
        let high = &block[128 + 32 * half..128 + 32 * half + 32];
        let scales = &block[192 + 8 * half..192 + 8 * half + 8];
        for run in 0..4 {
            for i in 0..32 {
                let byte = low[i + 32 * (run % 2)];
                let nibble = if run < 2 { byte & 15 } else { byte >> 4 };
                let q = nibble | ((high[i] >> (2 * run)) & 3) << 4;
                let scale = f32::from(scales[2 * run + i / 16] as i8);
                out.push(d * scale * (f32::from(q) - 32.0));
            }
        }
    }
}
