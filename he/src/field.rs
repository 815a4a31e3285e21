//! The field of the key shares, F_p with p = 65521 = 2^16 - 15.

use bytemuck::cast_slice_mut;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

use crate::params::SHARE_MODULUS as P;

/// Arithmetic modulo a prime below 2^16. Sharing and low-degree test are generic over this trait,
/// so that the tests can run the same code over fields in which every polynomial can be listed.
/// Production code uses one field, [`F65521`].
pub(crate) trait Field {
    /// The prime.
    const P: u32;

    /// `x mod p` for any x.
    fn reduce(x: u32) -> u32;

    /// `x mod p` for any 64-bit x.
    #[inline(always)]
    fn reduce_wide(x: u64) -> u32 {
        (x % u64::from(Self::P)) as u32
    }

    /// `a * b mod p` for a, b < p.
    #[inline(always)]
    fn mul(a: u32, b: u32) -> u32 {
        Self::reduce_wide(u64::from(a) * u64::from(b))
    }

    /// `a^-1 mod p`, a not 0. Not for secrets.
    fn inverse(a: u32) -> u32 {
        let (mut result, mut base, mut exponent) = (1, a, Self::P - 2);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = Self::mul(result, base);
            }
            base = Self::mul(base, base);
            exponent >>= 1;
        }
        result
    }
}

/// The field of the key shares.
pub(crate) struct F65521;

impl Field for F65521 {
    const P: u32 = P;

    /// By folding (2^16 = 15 mod p); no branch, no division.
    #[inline(always)]
    fn reduce(x: u32) -> u32 {
        let x = (x >> 16) * 15 + (x & 0xffff);
        let x = (x >> 16) * 15 + (x & 0xffff);
        x.min(x.wrapping_sub(P))
    }
}

/// A small signed number as a field element, without a branch.
#[inline(always)]
pub(crate) fn from_signed(c: i32) -> u16 {
    (c + ((c >> 31) & P as i32)) as u16
}

/// The representative nearest zero.
#[inline(always)]
pub(crate) fn to_signed(a: u32) -> i32 {
    if a > P / 2 { a as i32 - P as i32 } else { a as i32 }
}

/// Uniform field elements from a secret 32-byte seed: little-endian 16-bit words of the ChaCha20
/// stream with nonce zero; words of p or more are skipped. Not inlined: the constant-time check
/// identifies this function by its name, to allow the branch on skipped words.
#[inline(never)]
pub(crate) fn uniform(seed: &[u8; 32], count: usize) -> Zeroizing<Vec<u16>> {
    let mut stream = ChaCha20::new(seed.into(), &[0; 12].into());
    let mut buffer = Zeroizing::new([0u16; 2048]);
    let mut elements = Zeroizing::new(Vec::with_capacity(count));
    while elements.len() < count {
        stream.write_keystream(cast_slice_mut(buffer.as_mut_slice()));
        let accepted = buffer.iter().map(|w| u16::from_le(*w)).filter(|w| u32::from(*w) < P);
        let missing = count - elements.len();
        elements.extend(accepted.take(missing));
    }
    elements
}

/// Public uniform elements: little-endian 16-bit words of a BLAKE3 output stream; words of p or
/// more are skipped.
pub(crate) fn uniform_public(mut stream: blake3::OutputReader, count: usize) -> Vec<u16> {
    let mut buffer = [0; 4096];
    let mut elements = Vec::with_capacity(count);
    while elements.len() < count {
        stream.fill(&mut buffer);
        let words = buffer.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let missing = count - elements.len();
        elements.extend(words.filter(|w| u32::from(*w) < P).take(missing));
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::statistics;

    #[test]
    fn reductions_agree_with_the_remainder() {
        for x in (0..=u32::MAX).step_by(65_519).chain([P - 1, P, P + 1, u32::MAX]) {
            assert_eq!(F65521::reduce(x), x % P);
        }
        assert_eq!(F65521::reduce_wide(u64::MAX), (u64::MAX % u64::from(P)) as u32);
        for a in 1..2000 {
            assert_eq!(F65521::mul(a, F65521::inverse(a)), 1);
        }
        for c in [-32_760, -42, -1, 0, 1, 42, 32_760] {
            assert_eq!(to_signed(from_signed(c).into()), c);
        }
    }

    #[test]
    fn elements_are_uniform() {
        let elements = uniform(&[1; 32], 1 << 20);
        let mut found = [0; 64];
        elements.iter().for_each(|&e| found[usize::from(e) * 64 / P as usize] += 1);
        let expected = [(1 << 20) as f64 / 64.0; 64];
        let (statistic, limit) = statistics::chi_squared(&found, &expected);
        assert!(statistic < limit, "{statistic}");
    }
}
