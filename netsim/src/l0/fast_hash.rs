//! A fast hash without security against adversaries: one multiplication for every eight bytes.

/// A running hash of 64 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct FastHash(u64);

impl Default for FastHash {
    /// Starts from a nonzero state: a zero state would stay zero on zeros.
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl FastHash {
    pub(super) const fn number(&mut self, number: u64) {
        // The multiplier of splitmix64; the rotation lets high bits reach low ones.
        let mixed = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    /// Adds a string of bytes and its length.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.number(u64::from_le_bytes(last));
    }

    pub(super) const fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> u64 {
        let mut hash = FastHash::default();
        parts.iter().for_each(|part| hash.bytes(part));
        hash.finish()
    }

    #[test]
    fn every_byte_and_every_border_counts() {
        let text = b"a message, its sender, its scope";
        let mut seen = std::collections::BTreeSet::from([of(&[text])]);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut other = *text;
                other[at] ^= 1 << bit;
                assert!(seen.insert(of(&[&other])));
            }
            let (head, tail) = text.split_at(at);
            assert!(seen.insert(of(&[head, tail])));
            assert!(seen.insert(of(&[head])));
        }
    }
}
