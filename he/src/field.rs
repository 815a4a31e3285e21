//! The field of the key shares, F_p with p = 65521 = 2^16 - 15.

use bytemuck::cast_slice_mut;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

use crate::params::SHARE_MODULUS as P;

/// `x mod p` for any x, by folding (2^16 = 15 mod p); no branch, no division.
#[inline(always)]
pub(crate) fn reduce(x: u32) -> u32 {
    let x = (x >> 16) * 15 + (x & 0xffff);
    let x = (x >> 16) * 15 + (x & 0xffff);
    x.min(x.wrapping_sub(P))
}

/// `x mod p` for any 64-bit x.
#[inline(always)]
pub(crate) fn reduce_wide(x: u64) -> u32 {
    (x % u64::from(P)) as u32
}

/// `a * b mod p` for a, b < p.
#[inline(always)]
pub(crate) fn mul(a: u32, b: u32) -> u32 {
    reduce_wide(u64::from(a) * u64::from(b))
}

/// `a^-1 mod p`, a not 0. Not for secrets.
pub(crate) fn inverse(a: u32) -> u32 {
    let (mut result, mut base, mut exponent) = (1, a, P - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    result
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

/// Weights with which values at `points` give the value at `at`: distinct points below p.
pub(crate) fn lagrange(points: &[u16], at: u16) -> Vec<u32> {
    let difference = |a: u16, b: u16| (u32::from(a) + P - u32::from(b)) % P;
    let others = |j: u16| points.iter().copied().filter(move |&k| k != j);
    points
        .iter()
        .map(|&j| {
            let over = others(j).fold(1, |acc, k| mul(acc, difference(at, k)));
            let under = others(j).fold(1, |acc, k| mul(acc, difference(j, k)));
            mul(over, inverse(under))
        })
        .collect()
}

/// Uniform field elements from a secret 32-byte seed: little-endian 16-bit words of the ChaCha20
/// stream with nonce zero; words of p or more are skipped. Not inlined: the check of constant time knows this function by
/// its name, for the branch on words that are skipped.
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

/// Public uniform elements: little-endian 16-bit words of a BLAKE3 output stream; words of p or more
/// are skipped.
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

    #[test]
    fn reductions_agree_with_the_remainder() {
        for x in (0..=u32::MAX).step_by(65_519).chain([P - 1, P, P + 1, u32::MAX]) {
            assert_eq!(reduce(x), x % P);
        }
        assert_eq!(reduce_wide(u64::MAX), (u64::MAX % u64::from(P)) as u32);
        for a in 1..2000 {
            assert_eq!(mul(a, inverse(a)), 1);
        }
        for c in [-32_760, -42, -1, 0, 1, 42, 32_760] {
            assert_eq!(to_signed(from_signed(c).into()), c);
        }
    }

    #[test]
    fn interpolation_recovers_a_polynomial() {
        let poly = [11u32, 65_520, 3, 40_000];
        let value = |x: u32| poly.iter().rev().fold(0, |acc, &c| (mul(acc, x) + c) % P);
        let points = [1u16, 5, 9, 700];
        for at in [0u16, 2, 5, 699] {
            let weights = lagrange(&points, at);
            let sum = points
                .iter()
                .zip(weights)
                .fold(0, |acc, (&x, w)| (acc + mul(w, value(x.into()))) % P);
            assert_eq!(sum, value(at.into()));
        }
    }

    #[test]
    fn elements_are_uniform() {
        let elements = uniform(&[1; 32], 1 << 20);
        let mut counts = [0f64; 64];
        elements.iter().for_each(|&e| counts[usize::from(e) * 64 / P as usize] += 1.0);
        let expected = (1 << 20) as f64 / 64.0;
        let statistic: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        assert!(statistic < 63.0 + 6.0 * (2.0f64 * 63.0).sqrt(), "{statistic}");
    }
}
