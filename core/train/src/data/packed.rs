//! Token sequences in memory: about two bytes per token instead of five, so that the tokens of a
//! file need less memory than its text needs on disk.

use crate::model::TokenSequence;

/// A token sequence with its loss mask: one variable-length number (LEB128) per token, with the
/// mask in the lowest bit and the id above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedSequence {
    bytes: Box<[u8]>,
    tokens: u32,
}

impl PackedSequence {
    /// Packs a sequence.
    pub fn new(sequence: &TokenSequence) -> Self {
        let mut bytes = Vec::with_capacity(3 * sequence.ids.len());
        for (id, label) in sequence.ids.iter().zip(&sequence.labels) {
            let mut rest = u64::from(*id) << 1 | u64::from(*label);
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        let tokens = u32::try_from(sequence.ids.len()).unwrap_or(u32::MAX);
        Self { bytes: bytes.into_boxed_slice(), tokens }
    }

    /// The packed bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The sequence of this many tokens whose packed bytes these are.
    pub(super) fn from_bytes(bytes: Vec<u8>, tokens: u32) -> Self {
        Self { bytes: bytes.into_boxed_slice(), tokens }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens as usize
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// Unpacks the sequence.
    pub fn unpack(&self) -> TokenSequence {
        let (mut ids, mut labels) =
            (Vec::with_capacity(self.len()), Vec::with_capacity(self.len()));
        let (mut value, mut shift) = (0u64, 0);
        for byte in &self.bytes {
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                ids.push((value >> 1) as u32);
                labels.push(value & 1 == 1);
                (value, shift) = (0, 0);
            }
        }
        TokenSequence { ids, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let ids = vec![0, 1, 63, 64, 8191, 8192, 151_935, 1 << 20, u32::MAX];
        let labels = (0..ids.len()).map(|index| index % 3 == 0).collect();
        let sequence = TokenSequence { ids, labels };
        let packed = PackedSequence::new(&sequence);
        assert_eq!((packed.unpack(), packed.len()), (sequence, 9));
        assert!(PackedSequence::default().unpack().ids.is_empty());
    }
}
