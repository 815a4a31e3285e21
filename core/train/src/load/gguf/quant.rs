//! Weight encodings of GGUF, decoded to f32.
//!
//! Layouts follow the ggml definitions: blocks of 32 values (legacy) or 256 (K-quants), scales in f16.

use half::{bf16, f16};

/// How a tensor's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q4K,
    Q5K,
    Q6K,
}

impl Encoding {
    pub(crate) fn from_id(id: u32) -> std::result::Result<Self, String> {
        Ok(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            other => {
                return Err(format!(
                    "encoding {other} is not one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, \
                     Q4_K, Q5_K, Q6_K"
                ));
            }
        })
    }

    /// Values in a block.
    pub(crate) fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes in a block.
    pub(crate) fn block_size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Values of whole blocks.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let blocks = bytes.chunks_exact(self.block_size());
        let mut out = Vec::with_capacity(blocks.len() * self.block_len());
        for block in blocks {
            match self {
                Self::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                Self::F16 => out.push(half_at(block, 0)),
                Self::Bf16 => out.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
                Self::Q8_0 => {
                    let d = half_at(block, 0);
                    out.extend(block[2..].iter().map(|q| d * f32::from(*q as i8)));
                }
                Self::Q4_0 => {
                    let d = half_at(block, 0);
                    nibbles(&block[2..], |q| out.push(d * (f32::from(q) - 8.0)));
                }
                Self::Q4_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    nibbles(&block[4..], |q| out.push(d * f32::from(q) + m));
                }
                Self::Q5_0 => {
                    let d = half_at(block, 0);
                    five_bits(&block[2..6], &block[6..], |q| out.push(d * (f32::from(q) - 16.0)));
                }
                Self::Q5_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    five_bits(&block[4..8], &block[8..], |q| out.push(d * f32::from(q) + m));
                }
                Self::Q4K => q4_k(block, &mut out),
                Self::Q5K => q5_k(block, &mut out),
                Self::Q6K => q6_k(block, &mut out),
            }
        }
        out
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// All low halves, then all high ones: value i and value i + 16 share a byte.
fn nibbles(bytes: &[u8], mut put: impl FnMut(u8)) {
    bytes.iter().for_each(|byte| put(byte & 15));
    bytes.iter().for_each(|byte| put(byte >> 4));
}

/// Four low bits as in [`nibbles`]; the fifth is bit i of a 32-bit word.
fn five_bits(high: &[u8], low: &[u8], mut put: impl FnMut(u8)) {
    let word = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let mut index = 0;
    nibbles(low, |q| {
        put(q | (((word >> index) & 1) as u8) << 4);
        index += 1;
    });
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
fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, d_min) = (half_at(block, 0), half_at(block, 2));
    for (pair, bytes) in block[16..].chunks_exact(32).enumerate() {
        for (half, shift) in [0u8, 4].into_iter().enumerate() {
            let (scale, min) = scale_and_min(&block[4..16], 2 * pair + half);
            let (scale, min) = (d * scale, d_min * min);
            out.extend(bytes.iter().map(|b| scale * f32::from((b >> shift) & 15) - min));
        }
    }
}

/// As Q4_K with a fifth bit from 32 bytes: sub-block j uses bit j of each.
fn q5_k(block: &[u8], out: &mut Vec<f32>) {
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

/// 128 bytes of low nibbles, 64 of high pairs, 16 signed scales, d f16; two halves of 128 values, each
/// four runs of 32.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn q4_1_puts_low_halves_first() {
        let mut block = vec![0; 20];
        block[..2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
        block[2..4].copy_from_slice(&f16::from_f32(-1.0).to_le_bytes());
        block[4] = 0xf1;
        let values = Encoding::Q4_1.decode(&block);
        assert_eq!((values[0], values[1], values[16]), (-0.5, -1.0, 6.5));
    }

    #[test]
    fn q8_0_is_signed() {
        let mut block = vec![0; 34];
        block[..2].copy_from_slice(&f16::from_f32(0.25).to_le_bytes());
        block[2] = (-4i8) as u8;
        assert_eq!(Encoding::Q8_0.decode(&block)[..2], [-1.0, 0.0]);
    }

    /// Real weights encoded by ggml and decoded by the gguf package (`tests/parity/make_quant.py`).
    #[test]
    fn every_encoding_decodes_as_gguf_does() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/quant");
        let bytes = std::fs::read(folder.join("reference.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        let ids = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30];
        let encodings = ids.map(|id| Encoding::from_id(id).unwrap());
        let stored = [("file.q8_0", Encoding::Q8_0), ("file.q4_1", Encoding::Q4_1)];
        let named = encodings.map(|encoding| (encoding.file_name(), encoding));
        for (name, encoding) in named.into_iter().chain(stored) {
            let part = |part: &str| reference.tensor(&format!("{name}.{part}")).unwrap();
            let (encoded, values) = (part("bytes"), part("values"));
            let theirs = values.data().chunks_exact(4);
            let theirs = theirs.map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            let theirs: Vec<f32> = theirs.collect();
            assert_eq!(encoded.data().len() % encoding.block_size(), 0, "{name}");
            let ours = encoding.decode(encoded.data());
            assert_eq!(ours.len(), theirs.len(), "{name}");
            let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(largest > 0.1, "{name}: the reference is not trivial");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() <= 1e-6 * largest, "{name}: {ours} {theirs}");
            }
        }
    }

    impl Encoding {
        /// Its name in the reference file.
        fn file_name(self) -> &'static str {
            match self {
                Self::F32 => "f32",
                Self::F16 => "f16",
                Self::Bf16 => "bf16",
                Self::Q8_0 => "q8_0",
                Self::Q4_0 => "q4_0",
                Self::Q4_1 => "q4_1",
                Self::Q5_0 => "q5_0",
                Self::Q5_1 => "q5_1",
                Self::Q4K => "q4_k",
                Self::Q5K => "q5_k",
                Self::Q6K => "q6_k",
            }
        }
    }
}
