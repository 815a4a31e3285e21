//! Weight encodings of GGUF, decoded to f32.
//!
//! Layouts follow the ggml definitions: blocks of 32 values (legacy and table-based types) or 256
//! (K-quants and IQ4_XS), with scales in f16.

mod k;
mod table;

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
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    Mxfp4,
}

/// ggml's names of encodings that are not supported.
const OTHERS: [(u32, &str); 17] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (40, "NVFP4"),
];

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
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            30 => Self::Bf16,
            39 => Self::Mxfp4,
            other => {
                let name = OTHERS.iter().find(|(id, _)| *id == other).map(|(_, name)| *name);
                return Err(format!(
                    "encoding {} ({other}) is not one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, \
                     Q5_1, Q2_K, Q3_K, \
                     Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4: take the model in one of these",
                    name.unwrap_or("unknown to ggml")
                ));
            }
        })
    }

    /// Number of values in a block.
    pub(crate) fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Iq4Nl | Self::Mxfp4 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K | Self::Iq4Xs => 256,
        }
    }

    /// Size of a block in bytes.
    pub(crate) fn block_size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 | Self::Iq4Nl => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::Iq4Xs => 136,
            Self::Mxfp4 => 17,
        }
    }

    /// Decodes whole blocks.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let blocks = bytes.chunks_exact(self.block_size());
        let mut out = Vec::with_capacity(blocks.len() * self.block_len());
        for block in blocks {
            match self {
                Self::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                Self::F16 => out.push(half_at(block, 0)),
                Self::Bf16 => out.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
                Self::Q2K => k::q2_k(block, &mut out),
                Self::Q3K => k::q3_k(block, &mut out),
                Self::Q4K => k::q4_k(block, &mut out),
                Self::Q5K => k::q5_k(block, &mut out),
                Self::Q6K => k::q6_k(block, &mut out),
                Self::Iq4Nl => table::iq4_nl(block, &mut out),
                Self::Iq4Xs => table::iq4_xs(block, &mut out),
                Self::Mxfp4 => table::mxfp4(block, &mut out),
                _ => self.decode_legacy(block, &mut out),
            }
        }
        out
    }

    /// A block of 32 values with one scale and, in some encodings, a minimum.
    fn decode_legacy(self, block: &[u8], out: &mut Vec<f32>) {
        let d = half_at(block, 0);
        match self {
            Self::Q4_0 => nibbles(&block[2..], |q| out.push(d * (f32::from(q) - 8.0))),
            Self::Q4_1 => {
                let m = half_at(block, 2);
                nibbles(&block[4..], |q| out.push(d * f32::from(q) + m));
            }
            Self::Q5_0 => {
                five_bits(&block[2..6], &block[6..], |q| out.push(d * (f32::from(q) - 16.0)));
            }
            Self::Q5_1 => {
                let m = half_at(block, 2);
                five_bits(&block[4..8], &block[8..], |q| out.push(d * f32::from(q) + m));
            }
            _ => out.extend(block[2..].iter().map(|q| d * f32::from(*q as i8))),
        }
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// All low nibbles, then all high ones: values i and i + 16 share a byte.
fn nibbles(bytes: &[u8], mut put: impl FnMut(u8)) {
    bytes.iter().for_each(|byte| put(byte & 15));
    bytes.iter().for_each(|byte| put(byte >> 4));
}

/// The four low bits as in [`nibbles`]; the fifth is bit i of a 32-bit word.
fn five_bits(high: &[u8], low: &[u8], mut put: impl FnMut(u8)) {
    let word = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let mut index = 0;
    nibbles(low, |q| {
        put(q | (((word >> index) & 1) as u8) << 4);
        index += 1;
    });
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

    /// Real weights encoded by ggml (`tests/parity/make_quant.py`) and random blocks
    /// (`make_quant_more.py`) are decoded to the same bits as by the gguf package.
    #[test]
    fn every_encoding_decodes_as_gguf_does() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/quant");
        let bytes = std::fs::read(folder.join("reference.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        let more = std::fs::read(folder.join("more.safetensors")).unwrap();
        let more = SafeTensors::deserialize(&more).unwrap();
        let ids = [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39];
        let encodings = ids.map(|id| Encoding::from_id(id).unwrap());
        let stored = [("file.q8_0", Encoding::Q8_0), ("file.q4_1", Encoding::Q4_1)];
        let named = encodings.map(|encoding| (encoding.file_name(), encoding));
        for (name, encoding) in named.into_iter().chain(stored) {
            let part = |part: &str| {
                let name = format!("{name}.{part}");
                reference.tensor(&name).or_else(|_| more.tensor(&name)).unwrap()
            };
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
                assert_eq!(ours.to_bits(), theirs.to_bits(), "{name}: {ours} {theirs}");
            }
        }
    }

    #[test]
    fn an_encoding_that_is_not_read_is_named() {
        for (id, name) in [(16, "IQ2_XXS"), (34, "TQ1_0"), (40, "NVFP4"), (4, "unknown to ggml")] {
            let error = Encoding::from_id(id).unwrap_err();
            assert!(error.contains(name) && error.contains(&id.to_string()), "{error}");
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
                Self::Q2K => "q2_k",
                Self::Q3K => "q3_k",
                Self::Iq4Nl => "iq4_nl",
                Self::Iq4Xs => "iq4_xs",
                Self::Mxfp4 => "mxfp4",
                Self::Q4K => "q4_k",
                Self::Q5K => "q5_k",
                Self::Q6K => "q6_k",
            }
        }
    }
}
