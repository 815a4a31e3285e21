//! The low-degree test: all shares of a dealer lie on polynomials of degree below the threshold. It
//! is the test of interleaved Reed-Solomon words of Ligero (Ames, Hazay, Ishai and
//! Venkitasubramaniam, CCS 2017, doi:10.1145/3133956.3134104), checked by each member at its own
//! point.
//!
//! For each of 8 repetitions r, with independent uniform challenges g_rc (c = 1 .. N) from a BLAKE3
//! stream over the whole commitment, the dealer publishes `h_r = mask_r + sum_c g_rc f_c`,
//! `threshold` coefficients, and member m checks `h_r(m) = mask_r(m) + sum_c g_rc f_c(m)`. The
//! masks are uniform polynomials, including their constants, so h_r reveals nothing about the f_c.
//! Values that lie on no such polynomials pass one repetition with probability 1/p, and all with
//! 2^-128. The published polynomials are exactly `threshold` long: longer ones would prove a higher
//! degree.

use crate::field::{F65521, Field, uniform_public};

/// Repetitions of the test: p^-8 < 2^-127.
pub(crate) const REPETITIONS: usize = 8;

/// The dealer's answers: the polynomials h_r one after the other, lowest coefficient first. Row d
/// of `rows` holds the coefficients of X^d of the N key polynomials and of the 8 masks.
pub(crate) fn answer(
    challenge: &blake3::Hasher,
    rows: &[u16],
    width: usize,
    degree: usize,
) -> Vec<u16> {
    combine_rows::<F65521>(&challenges(challenge, degree), rows, width, degree)
}

/// The answers to given challenges, as many as there are masks.
pub(crate) fn combine_rows<F: Field>(
    challenges: &[u16],
    rows: &[u16],
    width: usize,
    degree: usize,
) -> Vec<u16> {
    let mut answers = Vec::with_capacity(rows.len() / width * (width - degree));
    for (r, challenge) in challenges.chunks_exact(degree).enumerate() {
        for row in rows.chunks_exact(width) {
            let (shares, masks) = row.split_at(degree);
            let mask = masks.get(r).copied().unwrap_or(0);
            answers.push(combination::<F>(challenge, shares, mask));
        }
    }
    answers
}

/// Whether the values of member `point` lie on the published polynomials.
pub(crate) fn check(
    challenge: &blake3::Hasher,
    answers: &[u16],
    point: u16,
    shares: &[u16],
    masks: &[u16],
) -> bool {
    let challenges = challenges(challenge, shares.len());
    let threshold = answers.len() / REPETITIONS;
    let claimed = answers.chunks_exact(threshold).map(|h| {
        let value = |acc, &c: &u16| F65521::reduce(acc * u32::from(point) + u32::from(c));
        h.iter().rev().fold(0, value)
    });
    let found = challenges
        .chunks_exact(shares.len())
        .zip(masks)
        .map(|(challenge, &mask)| u32::from(combination::<F65521>(challenge, shares, mask)));
    claimed.zip(found).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
}

fn challenges(challenge: &blake3::Hasher, degree: usize) -> Vec<u16> {
    uniform_public(challenge.finalize_xof(), REPETITIONS * degree)
}

/// mask + sum of products: 4096 products of 32 bits stay below 2^44.
fn combination<F: Field>(challenge: &[u16], shares: &[u16], mask: u16) -> u16 {
    let sum: u64 = challenge.iter().zip(shares).map(|(&g, &s)| u64::from(g) * u64::from(s)).sum();
    F::reduce_wide(sum + u64::from(mask)) as u16
}
