//! How many bits the frozen matrices have in memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::packed::Packed;
use crate::TrainError;

/// The precision in which the frozen matrices (projections, embedding, head) are held in memory.
/// Norms, biases, adapters and all arithmetic stay in f32: a matrix is decoded, a part at a time,
/// when a product needs it.
///
/// Rounding is always to the nearest value and the same on every machine. A file's values are
/// unchanged in their own precision: `bf16` of a bf16 file, `f16` of an f16 file, `q8` of GGUF's
/// Q8_0, `q4` of its Q4_1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BasePrecision {
    /// 32 bits: nothing is rounded or decoded.
    #[default]
    F32,
    /// 16 bits with the range of f32: |w - w'| <= 2^-8 |w|.
    Bf16,
    /// 16 bits, finer but limited to 65504: |w - w'| <= 2^-11 |w|, or 2^-25 below 2^-14.
    F16,
    /// 8.5 bits: blocks of 32 values of a row, w' = s q with q in -127..=127 and one f16 step s,
    /// which is the block's largest |w| over 127, rounded so that it covers that value: |w - w'| <=
    /// s/2.
    Q8,
    /// 5 bits: blocks of 32 values of a row, w' = m + s q with q in 0..=15, an f16 minimum m not
    /// above the block's, and an f16 step s, a fifteenth of the distance from m to the block's
    /// largest w, rounded so that it covers that value: |w - w'| <= s/2 up to the last bit of an
    /// f32.
    Q4,
    /// For each matrix the smallest of these precisions that holds all its values exactly, so that
    /// nothing is rounded: the file's own precision, if it is one of the others.
    Stored,
}

impl BasePrecision {
    /// All names, for error messages.
    pub const NAMES: [&str; 6] = ["f32", "bf16", "f16", "q8", "q4", "stored"];

    const ALL: [Self; 6] = [Self::F32, Self::Bf16, Self::F16, Self::Q8, Self::Q4, Self::Stored];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The values that a decoder computes with when it holds a matrix `[_, columns]` of these
    /// row-major `values` at this precision.
    ///
    /// # Errors
    /// A value that the precision cannot hold, with its position.
    pub fn rounded(self, values: &[f32], columns: usize) -> Result<Vec<f32>, Unfit> {
        match Packed::encode(values, columns, self)? {
            None => Ok(values.to_vec()),
            Some(packed) => Ok(packed.decode(0, packed.rows())),
        }
    }
}

impl fmt::Display for BasePrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BasePrecision {
    type Err = TrainError;

    fn from_str(name: &str) -> Result<Self, TrainError> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| {
            let reason = format!("`{name}` is not one of {}", Self::NAMES.join(", "));
            TrainError::setting("base_precision", reason)
        })
    }
}

/// A value that a precision cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{value} at row {row}, column {column} does not fit {precision}; f32 holds it")]
pub struct Unfit {
    /// The value.
    pub value: f32,
    /// Its row, counted from 0.
    pub row: usize,
    /// Its column, counted from 0.
    pub column: usize,
    /// The precision.
    pub precision: BasePrecision,
}
