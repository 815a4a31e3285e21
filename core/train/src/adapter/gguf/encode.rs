//! Encodes values as GGUF stores them.

use serde::{Deserialize, Serialize};

/// Values in a block of Q8_0.
const BLOCK: usize = 32;

/// The encoding of matrices in a GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GgufType {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// Blocks of 32 values of 8 bits with one scale in F16.
    Q8_0,
}

impl GgufType {
    /// ggml's number for it.
    pub(super) fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
        }
    }

    /// llama.cpp's number for a file in which this type prevails.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q8_0 => "Q8_0",
        }
    }

    /// The encoding of a tensor in a file of this type.
    pub(super) fn for_shape(self, shape: &[usize]) -> Self {
        match shape {
            [] | [_] => Self::F32,
            [.., columns] if self != Self::Q8_0 || columns.is_multiple_of(BLOCK) => self,
            _ => Self::F16,
        }
    }

    /// Size in bytes of this many values, which form whole blocks.
    pub(super) fn bytes(self, values: usize) -> usize {
        match self {
            Self::F32 => 4 * values,
            Self::F16 => 2 * values,
            Self::Q8_0 => values / BLOCK * (BLOCK + 2),
        }
    }

    /// Appends values; returns the first that does not fit, if there is one.
    pub(super) fn put(self, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), f32> {
        match self {
            Self::F32 => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            Self::F16 => {
                for value in values {
                    bytes.extend(half_of(*value)?.to_le_bytes());
                }
            }
            Self::Q8_0 => {
                for block in values.chunks(BLOCK) {
                    let largest = block.iter().fold(0f32, |most, value| most.max(value.abs()));
                    let scale = largest / 127.0;
                    // As in ggml: the quotient uses the scale before it is rounded to 16 bits.
                    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
                    bytes.extend(half_of(scale)?.to_le_bytes());
                    bytes.extend(block.iter().map(|v| (v * inverse).round() as i8 as u8));
                }
            }
        }
        Ok(())
    }
}

fn half_of(value: f32) -> Result<half::f16, f32> {
    let half = half::f16::from_f32(value);
    if half.is_finite() { Ok(half) } else { Err(value) }
}
