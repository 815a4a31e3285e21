//! Randomness that is the same on every machine: ChaCha20 with a key derived from a seed and a
//! purpose, so that two uses of one seed never share a stream.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

/// A deterministic stream of random words.
///
/// Key: BLAKE3 key derivation with context `fedshield-train v1 <purpose>` over the seed. Words are
/// the ChaCha20 key stream (zero nonce) read as little-endian integers.
pub(crate) struct Stream {
    cipher: ChaCha20,
    buffer: [u8; 512],
    used: usize,
}

impl Stream {
    pub(crate) fn new(seed: [u8; 32], purpose: &str) -> Self {
        let key = blake3::derive_key(&format!("fedshield-train v1 {purpose}"), &seed);
        let cipher = ChaCha20::new(&key.into(), &[0u8; 12].into());
        Self { cipher, buffer: [0; 512], used: 512 }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        if self.used == self.buffer.len() {
            self.buffer = [0; 512];
            self.cipher.apply_keystream(&mut self.buffer);
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.buffer[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }

    /// Uniform in `0..bound`, without bias (by rejection). `bound` must not be 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let word = self.next_u64();
            if word < zone {
                return word % bound;
            }
        }
    }

    /// Uniform in [0, 1) with 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Shuffles in place (Fisher-Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_purpose_only() {
        let word = |seed, purpose| Stream::new([seed; 32], purpose).next_u64();
        assert_eq!(word(1, "a"), word(1, "a"));
        assert_ne!(word(1, "a"), word(2, "a"));
        assert_ne!(word(1, "a"), word(1, "b"));
    }
}
