//! Which answers are wrong, told from the answers alone: joint decoding of all columns, an
//! interleaved Reed-Solomon code (Bleichenbacher, Kiayias and Yung, Theoretical Computer Science
//! 379, 2007, doi:10.1016/j.tcs.2007.02.043).
//!
//! The answers to one coefficient of the key are a word of a Reed-Solomon code of dimension
//! `threshold` over F_65521, at the share indices. All N words are wrong in the same e places,
//! those of the faulty members, so they are decoded as one: let the errors of these members be
//! vectors of F^N that span a space of dimension r. The polynomial of degree e whose zeros are
//! these places is the only one (up to a factor) of degree at most e that the syndromes of all
//! columns allow, if
//!
//! ```text
//! 2 e <= answers - threshold - 1 + r
//! ```
//!
//! Members that collude optimally (r = 1) are found up to half of the redundant answers, as with a
//! single word. Members whose errors are independent (r = e) are found up to all redundant answers
//! but one. Nothing here is random: the columns enter through a basis of the space of their
//! syndromes, so there is no combination of columns that an adversary could prepare for.
//! docs/CRYPTO.md has the proof.

use crate::field::{F65521, Field};
use crate::params::SHARE_MODULUS;
use crate::partial_decrypt::PartialDecryption;

/// What the answers say about each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// All lie on polynomials of degree below the threshold.
    Consistent,
    /// The answers at these positions, ascending, do not; all others do, and no smaller number of
    /// errors explains the answers.
    Wrong(Vec<usize>),
    /// More answers are wrong than decoding can locate.
    BeyondRadius,
}

/// Decodes answers of distinct members, at least `threshold` of them, all of one length.
pub(crate) fn decode(answers: &[&PartialDecryption], threshold: usize) -> Decoded {
    let points: Vec<u32> = answers.iter().map(|a| u32::from(a.member.get())).collect();
    let spare = answers.len().saturating_sub(threshold);
    let syndromes = syndromes(answers, &points, spare);
    let basis = independent(&syndromes);
    if basis.is_empty() {
        return Decoded::Consistent;
    }
    let most = (spare + basis.len() - 1) / 2;
    for errors in basis.len()..=most {
        let Some(locator) = locator(&basis, errors) else { continue };
        let zeros: Vec<usize> =
            (0..points.len()).filter(|&i| value(&locator, points[i]) == 0).collect();
        // Within the radius, the first locator that exists has all its zeros among the points.
        return if zeros.len() == errors { Decoded::Wrong(zeros) } else { Decoded::BeyondRadius };
    }
    Decoded::BeyondRadius
}

/// For each column its `spare` syndromes: sums over the answers of `v_i x_i^m y_i`, with `v_i = 1 /
/// prod over k != i of (x_i - x_k)`. All are zero where the column is a word of the code.
fn syndromes(answers: &[&PartialDecryption], points: &[u32], spare: usize) -> Vec<Vec<u32>> {
    let columns = answers.first().map_or(0, |a| a.values.len());
    let mut checks: Vec<u32> = points
        .iter()
        .map(|&x| {
            let others = points.iter().filter(|&&k| k != x);
            F65521::inverse(others.fold(1, |product, &k| F65521::mul(product, minus(x, k))))
        })
        .collect();
    let mut found = vec![Vec::with_capacity(spare); columns];
    let mut sums = vec![0u64; columns];
    for _ in 0..spare {
        sums.fill(0);
        for (answer, &check) in answers.iter().zip(&checks) {
            // At most 700 products below 2^32.
            for (sum, &value) in sums.iter_mut().zip(&answer.values) {
                *sum += u64::from(check) * u64::from(value);
            }
        }
        for (column, &sum) in found.iter_mut().zip(&sums) {
            column.push(F65521::reduce_wide(sum));
        }
        for (check, &x) in checks.iter_mut().zip(points) {
            *check = F65521::mul(*check, x);
        }
    }
    found
}

/// The vectors that are linearly independent of the ones before them.
fn independent(vectors: &[Vec<u32>]) -> Vec<&[u32]> {
    let (mut echelon, mut basis) = (Echelon::default(), Vec::new());
    for vector in vectors {
        if basis.len() == vector.len() {
            break;
        }
        if echelon.add(vector.clone()) {
            basis.push(vector.as_slice());
        }
    }
    basis
}

/// A polynomial of degree at most `errors`, lowest coefficient first and not zero, with `sum over k
/// of locator_k s_(m + k) = 0` for every vector s of syndromes and every m that has all of them.
fn locator(basis: &[&[u32]], errors: usize) -> Option<Vec<u32>> {
    let width = errors + 1;
    let mut echelon = Echelon::default();
    for equation in basis.iter().flat_map(|syndromes| syndromes.windows(width)) {
        echelon.add(equation.to_vec());
        if echelon.rows.len() == width {
            return None;
        }
    }
    Some(echelon.solution(width))
}

/// The value of a polynomial at a point, by Horner's rule.
fn value(polynomial: &[u32], x: u32) -> u32 {
    polynomial
        .iter()
        .rev()
        .fold(0, |sum, &c| F65521::reduce_wide(u64::from(sum) * u64::from(x) + u64::from(c)))
}

fn minus(a: u32, b: u32) -> u32 {
    F65521::reduce(a + SHARE_MODULUS - b)
}

/// Linearly independent vectors in echelon form, each with its pivot: the position of its first
/// non-zero entry, which is one. Later rows are zero at the pivots of earlier ones.
#[derive(Default)]
struct Echelon {
    rows: Vec<(usize, Vec<u32>)>,
}

impl Echelon {
    /// Adds a vector; false if it is linearly dependent on the rows so far.
    fn add(&mut self, mut vector: Vec<u32>) -> bool {
        for (place, row) in &self.rows {
            let factor = vector[*place];
            if factor != 0 {
                subtract(&mut vector, row, factor);
            }
        }
        let Some(place) = vector.iter().position(|&v| v != 0) else { return false };
        let inverse = F65521::inverse(vector[place]);
        vector.iter_mut().for_each(|v| *v = F65521::mul(*v, inverse));
        self.rows.push((place, vector));
        true
    }

    /// A non-zero vector of `width` entries whose product with every row is zero. There must be
    /// fewer rows than entries.
    fn solution(&self, width: usize) -> Vec<u32> {
        let free = (0..width).rev().find(|i| self.rows.iter().all(|(place, _)| place != i));
        let mut solution = vec![0; width];
        if let Some(free) = free {
            solution[free] = 1;
        }
        // Back substitution: a row is zero at the pivots of earlier rows, so the last one comes
        // first.
        for (place, row) in self.rows.iter().rev() {
            let sum = row.iter().zip(&solution).map(|(&r, &s)| u64::from(r) * u64::from(s)).sum();
            solution[*place] = minus(0, F65521::reduce_wide(sum));
        }
        solution
    }
}

/// `vector -= factor * row`.
fn subtract(vector: &mut [u32], row: &[u32], factor: u32) {
    let factor = SHARE_MODULUS - factor;
    for (v, &r) in vector.iter_mut().zip(row) {
        *v = F65521::reduce_wide(u64::from(*v) + u64::from(factor) * u64::from(r));
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;
    use crate::digest::SetId;
    use crate::sharing::ShareIndex;
    use crate::tests::rng;

    /// Answers of `count` members on random polynomials, with errors at the positions `wrong` that
    /// span `rank` dimensions.
    fn answers(
        rng: &mut impl Rng,
        (count, threshold, columns): (u16, usize, usize),
        wrong: &[usize],
        rank: usize,
    ) -> Vec<PartialDecryption> {
        let mut element = || rng.next_u32() % (SHARE_MODULUS - 1) + 1;
        let polynomials: Vec<Vec<u32>> =
            (0..columns).map(|_| (0..threshold).map(|_| element()).collect()).collect();
        let answer = |x: u16| polynomials.iter().map(|p| value(p, x.into()) as u16).collect();
        let mut answers: Vec<PartialDecryption> = (1..=count)
            .map(|index| PartialDecryption {
                member: ShareIndex::new(index).unwrap(),
                set: SetId::new([0; 32]),
                values: answer(index),
            })
            .collect();
        let span: Vec<Vec<u32>> =
            (0..rank).map(|_| (0..columns).map(|_| element()).collect()).collect();
        for &position in wrong {
            let factors: Vec<u32> = (0..rank).map(|_| element()).collect();
            for (c, v) in answers[position].values.iter_mut().enumerate() {
                let error = span.iter().zip(&factors).fold(u32::from(*v), |sum, (s, &f)| {
                    F65521::reduce_wide(u64::from(sum) + u64::from(f) * u64::from(s[c]))
                });
                *v = error as u16;
            }
        }
        answers
    }

    /// For every number of errors and every rank, all errors within the radius are found.
    #[test]
    fn all_errors_within_the_radius_are_found_whatever_their_rank() {
        let mut rng = rng(1);
        for (count, threshold) in [(4, 3), (7, 5), (18, 12), (31, 21), (40, 20)] {
            let spare = usize::from(count) - threshold;
            for errors in 1..=spare + 1 {
                for rank in 1..=errors {
                    let mut wrong: Vec<usize> =
                        (0..errors).map(|i| (i * 3 + 1) % usize::from(count)).collect();
                    wrong.sort_unstable();
                    wrong.dedup();
                    let rank = rank.min(wrong.len());
                    let made = answers(&mut rng, (count, threshold, 24), &wrong, rank);
                    let found = decode(&made.iter().collect::<Vec<_>>(), threshold);
                    let within = 2 * wrong.len() < spare + rank;
                    if within {
                        assert_eq!(found, Decoded::Wrong(wrong), "{count} {errors} {rank}");
                    } else {
                        assert_ne!(found, Decoded::Consistent, "{count} {errors} {rank}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_decoded() {
        let mut rng = rng(2);
        let decoded = |answers: &[PartialDecryption], threshold| {
            decode(&answers.iter().collect::<Vec<_>>(), threshold)
        };
        let honest = answers(&mut rng, (9, 6, 5), &[], 0);
        assert_eq!(decoded(&honest, 6), Decoded::Consistent);
        assert_eq!(decoded(&honest, 9), Decoded::Consistent);
        // As many answers as the threshold: whatever they are, they lie on a polynomial.
        let wrong = answers(&mut rng, (6, 6, 5), &[0, 3], 2);
        assert_eq!(decoded(&wrong, 6), Decoded::Consistent);
        // One more answer: an error is detected, but cannot be located.
        let wrong = answers(&mut rng, (7, 6, 5), &[3], 1);
        assert_eq!(decoded(&wrong, 6), Decoded::BeyondRadius);
        let all: Vec<usize> = (0..9).collect();
        let wrong = answers(&mut rng, (9, 6, 20), &all, 9);
        assert_eq!(decoded(&wrong, 6), Decoded::BeyondRadius);
    }
}
