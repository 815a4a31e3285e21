//! AdamW's moments as they are at the end of a round, for the next round of the same factors. They
//! stay at their member.

use crate::federated::{Factor, Reader, put_floats};
use crate::{Result, TrainError};

const MAGIC: &[u8; 8] = b"FSMOMNT1";

/// The moments of one factor, both in the order of its values.
#[derive(Clone, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub(super) first: Vec<f32>,
    /// Running mean of the squared gradient.
    pub(super) second: Vec<f32>,
    /// Steps that they are the result of.
    pub(super) steps: u32,
}

impl std::fmt::Debug for Moments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (len, steps) = (self.first.len(), self.steps);
        write!(f, "Moments {{ {len} values after {steps} steps, redacted }}")
    }
}

impl Moments {
    /// Those of a fresh optimiser.
    pub(super) fn fresh(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }

    /// Number of values of the factor.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether the factor has no values.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Serialises them for the member's own storage.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.steps.to_le_bytes());
        bytes.extend((self.len() as u64).to_le_bytes());
        put_floats(&mut bytes, &self.first);
        put_floats(&mut bytes, &self.second);
        bytes
    }

    /// Parses the bytes of [`Self::to_bytes`] for a factor of `len` values.
    ///
    /// # Errors
    /// Bytes of another format or for another number of values; a value that is not finite; a mean
    /// square below zero.
    pub fn from_bytes(bytes: &[u8], len: usize) -> Result<Self> {
        let mut reader = Reader { rest: bytes, what: "optimiser state" };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(reader.bad("not an optimiser state of version 1"));
        }
        let (steps, found) = (reader.u32()?, reader.u64()?);
        if found != len as u64 {
            let reason = format!("of {found} values, and the factor has {len}");
            return Err(TrainError::Decode { what: "optimiser state", reason });
        }
        let (first, second) = (reader.floats(len)?, reader.floats(len)?);
        reader.end()?;
        if second.iter().any(|value| *value < 0.0) {
            return Err(reader.bad("a mean square below zero"));
        }
        Ok(Self { first, second, steps })
    }
}

/// The moments by factor; none of a factor that has not been trained yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState([Option<Moments>; 3]);

impl OptimizerState {
    /// The moments of a factor.
    pub fn of(&self, factor: Factor) -> Option<&Moments> {
        self.0[factor as usize].as_ref()
    }

    /// Replaces the moments of a factor.
    pub fn set(&mut self, factor: Factor, moments: Moments) {
        self.0[factor as usize] = Some(moments);
    }

    /// Takes over those of the factors that `newer` has.
    pub fn update(&mut self, newer: Self) {
        for (old, new) in self.0.iter_mut().zip(newer.0) {
            *old = new.or_else(|| old.take());
        }
    }

    /// A copy of those for `factor`, or fresh ones of `len` values.
    ///
    /// # Errors
    /// Moments for another number of values.
    pub(super) fn start(&self, factor: Factor, len: usize) -> Result<Moments> {
        match self.of(factor) {
            None => Ok(Moments::fresh(len)),
            Some(moments) if moments.len() == len => Ok(moments.clone()),
            Some(moments) => {
                let found = moments.len();
                let reason = format!("the optimiser state has {found} values for {len}");
                Err(TrainError::Adapter(reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_everything_else_is_refused() {
        let moments =
            Moments { first: vec![0.5, -1.0, 0.0], second: vec![0.25, 1.0, 0.0], steps: 7 };
        let bytes = moments.to_bytes();
        assert_eq!(Moments::from_bytes(&bytes, 3).unwrap(), moments);
        for cut in 0..bytes.len() {
            assert!(Moments::from_bytes(&bytes[..cut], 3).is_err(), "{cut}");
        }
        let changed = |at: usize, to: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + to.len()].copy_from_slice(to);
            Moments::from_bytes(&bytes, 3).unwrap_err().to_string()
        };
        assert!(changed(0, b"FSLOCAL3").contains("not an optimiser state"));
        assert!(changed(12, &u64::MAX.to_le_bytes()).contains("the factor has 3"));
        assert!(changed(20, &f32::NAN.to_le_bytes()).contains("not finite"));
        assert!(changed(32, &(-1f32).to_le_bytes()).contains("below zero"));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Moments::from_bytes(&longer, 3).is_err());
        let error = Moments::from_bytes(&bytes, 4).unwrap_err().to_string();
        assert!(error.contains("of 3 values, and the factor has 4"), "{error}");
    }
}
