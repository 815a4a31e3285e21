//! Encodings whose four-bit codes are indices into a table.

use super::{half_at, nibbles};

/// ggml's table of 16 levels that are denser around zero.
const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// E2M1 of the OCP microscaling formats, doubled.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn level(table: &[i8; 16], nibble: u8) -> f32 {
    f32::from(table[usize::from(nibble & 15)])
}

/// d f16, 16 bytes of nibbles.
pub(super) fn iq4_nl(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    nibbles(&block[2..], |q| out.push(d * level(&LEVELS, q)));
}

/// d f16, 16 bits of high and 4 bytes of low bits of 8 scales, 128 bytes of nibbles; 8 sub-blocks
/// of 32.
pub(super) fn iq4_xs(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    for (j, bytes) in block[8..].chunks_exact(16).enumerate() {
        let low = (block[4 + j / 2] >> (4 * (j % 2))) & 15;
        let bits = i16::from(low) | (((high >> (2 * j)) & 3) as i16) << 4;
        let scale = d * f32::from(bits - 32);
        nibbles(bytes, |q| out.push(scale * level(&LEVELS, q)));
    }
}

/// An exponent (E8M0), then 16 bytes of nibbles. The table is doubled, so the scale is half of what
/// the exponent says.
pub(super) fn mxfp4(block: &[u8], out: &mut Vec<f32>) {
    let exponent = u32::from(block[0]);
    let bits = if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 };
    let d = f32::from_bits(bits);
    nibbles(&block[1..], |q| out.push(d * level(&E2M1, q)));
}
