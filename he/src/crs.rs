//! The common polynomials a_j: `expand`, byte for byte.
//!
//! 1. seed = BLAKE3 derive-key, context `fedshield-he v1 crs`, over manifest digest (32 bytes),
//!    round (8 bytes, little-endian) and the name of the preset (UTF-8).
//! 2. Stream j of the seed is ChaCha8 as in the module `stream`: nonce = j as eight little-endian
//!    bytes and four zero bytes, counter from 0.
//! 3. The first 8 N bytes are N little-endian words. Each is cut to its lowest ceil(log2 q) bits.
//! 4. Positions that hold q or more are filled, lowest position first, with the following words of
//!    the stream, cut in the same way; a word of q or more is skipped.
//! 5. The result is a_j in the NTT domain, in the order that the module `ring` documents.

use crate::kernel::{BlockKernel, Kernel};
use crate::params::Preset;
use crate::stream::PublicStream;

/// Seed of the common polynomials of one round. Public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CrsSeed([u8; 32]);

impl CrsSeed {
    /// The seed of `round` under a manifest and a preset.
    pub(crate) fn new(manifest_digest: &[u8; 32], round: u64, preset: &Preset) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-he v1 crs");
        hasher.update(manifest_digest).update(&round.to_le_bytes());
        hasher.update(preset.name().as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The seed as bytes, for test vectors.
    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes the common polynomial of `block` in the NTT domain: `poly.len()` words below
    /// `modulus`.
    pub(crate) fn expand(&self, kernel: Kernel, block: u64, modulus: u64, poly: &mut [u64]) {
        let mask = u64::MAX >> modulus.leading_zeros();
        let mut stream = PublicStream::new(&self.0, block);
        stream.fill(poly);
        if !kernel.mask_words(poly, mask, modulus) {
            return;
        }
        for word in poly.iter_mut() {
            while *word >= modulus {
                let mut next = [0];
                stream.fill(&mut next);
                *word = next[0] & mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_uniform_below_the_modulus() {
        let preset = Preset::by_name("rlwe-sum/b16/n16").unwrap();
        let seed = CrsSeed::new(&[7; 32], 3, preset);
        let (n, q) = (preset.ring_degree(), preset.modulus());
        let (mut words, mut sum) = (vec![0; n], 0.0);
        for block in 0..16 {
            seed.expand(Kernel::SCALAR, block, q, &mut words);
            assert!(words.iter().all(|&w| w < q));
            sum += words.iter().map(|&w| w as f64 / q as f64).sum::<f64>();
        }
        // Mean of 65,536 uniform numbers: 1/2 with a standard deviation of 0.0011.
        assert!((sum / (16 * n) as f64 - 0.5).abs() < 0.006);
    }

    #[test]
    fn rejection_follows_the_specification() {
        // A modulus far from a power of two rejects a quarter of the words.
        let q = 3 << 60;
        let seed = CrsSeed([9; 32]);
        let mut poly = vec![0; 512];
        seed.expand(Kernel::SCALAR, 5, q, &mut poly);
        let mut stream = PublicStream::new(&seed.0, 5);
        let mut all = vec![0; 2048];
        stream.fill(&mut all);
        let cut: Vec<u64> = all.iter().map(|w| w & ((1 << 62) - 1)).collect();
        let mut spare = cut[512..].iter().filter(|w| **w < q);
        let expected: Vec<u64> =
            cut[..512].iter().map(|&w| if w < q { w } else { *spare.next().unwrap() }).collect();
        assert_eq!(poly, expected);
    }

    #[test]
    fn each_input_of_the_seed_counts() {
        let p = |name| Preset::by_name(name).unwrap();
        let base = CrsSeed::new(&[1; 32], 1, p("rlwe-sum/b16/n16"));
        assert_ne!(base, CrsSeed::new(&[2; 32], 1, p("rlwe-sum/b16/n16")));
        assert_ne!(base, CrsSeed::new(&[1; 32], 2, p("rlwe-sum/b16/n16")));
        assert_ne!(base, CrsSeed::new(&[1; 32], 1, p("rlwe-sum/b16/n32")));
    }
}
