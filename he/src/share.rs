//! share: the one-time key, split among all members with Shamir's scheme, and the commitment to it.
//!
//! For each of the N key coefficients a polynomial of degree below the threshold over F_65521, its constant
//! the coefficient; member m gets the values at m. With them go its values of eight mask polynomials and a
//! salt; the commitment holds the digest of that for every member, and the answers of the low-degree
//! test (see `low_degree`).

use std::fmt;

use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::encrypt::OneTimeKey;
use crate::error::Error;
use crate::field::{self, reduce};
use crate::low_degree::{self, REPETITIONS};
use crate::preimage::Preimage;

/// The values that one member got from one contributor, checked against the commitment. A secret
/// until the member has released its partial decryption; erased on drop.
pub struct Share {
    pub(crate) sender: u16,
    pub(crate) receiver: u16,
    pub(crate) commitment: [u8; 32],
    pub(crate) round_tag: [u8; 32],
    pub(crate) values: Zeroizing<Vec<u16>>,
}

impl Share {
    /// Share index of the contributor.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Share index of the member whose share this is.
    pub fn receiver(&self) -> u16 {
        self.receiver
    }

    /// Digest of the commitment it was checked against.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} -> {}, ..)", self.sender, self.receiver)
    }
}

/// What dealing one key gives: what is published, and what each member gets in secret.
#[derive(Debug)]
pub struct Dealing {
    /// Published.
    pub commitment: ShareCommitment,
    /// One for each member, in the order of the share indices. Sealed to the member; shown in clear only
    /// to answer a complaint of that member.
    pub preimages: Vec<Preimage>,
}

/// Splits a key among `members` members so that any `threshold` of them can answer for it.
/// `ciphertext_digest` is the digest by which the ciphertext is committed to (of its bytes, or the root
/// of its chunks).
///
/// # Errors
/// [`Error::Argument`] when the numbers make no sense, [`Error::Preset`] when the preset does not hold
/// the members.
pub fn deal(
    context: &RoundContext,
    sender: u16,
    (threshold, members): (u16, u16),
    key: &OneTimeKey,
    ciphertext_digest: &[u8; 32],
    rng: &mut impl CryptoRng,
) -> Result<Dealing, Error> {
    context.preset().check_members(members)?;
    if threshold < 2 || threshold > members {
        return Err(Error::argument("threshold", "not in 2 ..= members"));
    }
    if sender == 0 || sender > members {
        return Err(Error::argument("sender", "not a share index"));
    }
    let degree = key.coefficients().len();
    let mut secret = || -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        bytes
    };
    // Row d holds the coefficients of X^d: first the N key polynomials, then the mask polynomials.
    let width = degree + REPETITIONS;
    let mut rows = field::uniform(&secret(), width * usize::from(threshold));
    for (constant, &c) in rows.iter_mut().zip(key.coefficients()) {
        *constant = field::from_signed(c);
    }
    let preimages: Vec<Preimage> = (1..=members)
        .map(|receiver| {
            let salt = secret();
            let values = evaluate(&rows, width, receiver);
            Preimage::new(sender, receiver, &salt, values, degree)
        })
        .collect();
    let digests = preimages.iter().map(|p| p.digest(context)).collect();
    let mut commitment = ShareCommitment::unproven(sender, threshold, *ciphertext_digest, digests);
    commitment.low_degree =
        low_degree::answer(&commitment.challenge_stream(context), &rows, width, degree);
    Ok(Dealing { commitment, preimages })
}

/// Values of all polynomials at `point`, by Horner's rule over whole rows.
fn evaluate(rows: &[u16], width: usize, point: u16) -> Zeroizing<Vec<u16>> {
    let point = u32::from(point);
    let mut values = Zeroizing::new(vec![0u32; width]);
    for row in rows.chunks_exact(width).rev() {
        for (value, &coefficient) in values.iter_mut().zip(row) {
            *value = reduce(*value * point + u32::from(coefficient));
        }
    }
    let out = Zeroizing::new(values.iter().map(|&v| v as u16).collect());
    values.zeroize();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any threshold - 1 values of a polynomial with a fixed constant are independent of it: over all
    /// polynomials of degree 1 and 2 with two different constants, each pair of values is equally frequent.
    #[test]
    fn fewer_shares_than_the_threshold_are_independent_of_the_key() {
        // Counted in the residues modulo a small prime, where every polynomial can be listed.
        const SMALL: u32 = 13;
        let value = |poly: [u32; 3], x: u32| (poly[0] + poly[1] * x + poly[2] * x * x) % SMALL;
        let distribution = |constant: u32, x: u32, y: u32| {
            let mut counts = vec![0; (SMALL * SMALL) as usize];
            for a in 0..SMALL {
                for b in 0..SMALL {
                    let poly = [constant, a, b];
                    counts[(value(poly, x) * SMALL + value(poly, y)) as usize] += 1;
                }
            }
            counts
        };
        for (x, y) in [(1, 2), (3, 11), (7, 12)] {
            assert_eq!(distribution(0, x, y), vec![1; (SMALL * SMALL) as usize]);
            assert_eq!(distribution(5, x, y), distribution(9, x, y));
        }
    }

    /// The same for what `deal` really hands out: one share of a threshold of two is uniform, for a key
    /// of zeros as for a key of largest coefficients.
    #[test]
    fn one_share_of_two_is_uniform() {
        for c in [0, 42] {
            let mut counts = [0f64; 32];
            for seed in 0..64u8 {
                let mut rows = field::uniform(&[seed; 32], 2 * 512);
                rows[..512].fill(field::from_signed(c));
                for v in evaluate(&rows, 512, 3).iter() {
                    counts[usize::from(*v) * 32 / 65_521] += 1.0;
                }
            }
            let expected = 64.0 * 512.0 / 32.0;
            let statistic: f64 = counts.iter().map(|n| (n - expected).powi(2) / expected).sum();
            assert!(statistic < 31.0 + 6.0 * (2.0f64 * 31.0).sqrt(), "{statistic}");
        }
    }
}
