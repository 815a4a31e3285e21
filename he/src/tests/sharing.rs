//! Any q shares give the key, and fewer say nothing about it: counted over all polynomials of small
//! fields, with the code that shares real keys; then statistically, on real dealings.

use super::federation::{Federation, index, rng};
use super::statistics;
use crate::encrypt::OneTimeKey;
use crate::field::Field;
use crate::low_degree::combine_rows;
use crate::params::{KEY_BOUND, SHARE_MODULUS};
use crate::shamir::{evaluate, interpolate, lagrange};
use crate::*;

/// A field in which every polynomial can be listed.
struct Small<const PRIME: u32>;

impl<const PRIME: u32> Field for Small<PRIME> {
    const P: u32 = PRIME;

    fn reduce(x: u32) -> u32 {
        x % PRIME
    }
}

/// All polynomials with `threshold` coefficients and this constant: one a column, in rows of
/// coefficients.
fn all_polynomials<F: Field>(secret: u16, threshold: usize) -> (Vec<u16>, usize) {
    let width = (F::P as usize).pow(threshold as u32 - 1);
    let mut rows = vec![secret; width];
    for power in 1..threshold as u32 {
        let digit = |j: usize| (j / (F::P as usize).pow(power - 1) % F::P as usize) as u16;
        rows.extend((0..width).map(digit));
    }
    (rows, width)
}

/// All sets of `size` points out of 1 ..= members.
fn sets(members: u16, size: usize) -> Vec<Vec<u16>> {
    let all = (0u32..1 << members).filter(|bits| bits.count_ones() as usize == size);
    all.map(|bits| (1..=members).filter(|m| bits >> (m - 1) & 1 == 1).collect()).collect()
}

/// How often each combination of the shares of `points` occurs, over all polynomials with this
/// secret.
fn distribution<F: Field>(secret: u16, threshold: usize, points: &[u16]) -> Vec<u32> {
    let (rows, width) = all_polynomials::<F>(secret, threshold);
    let shares: Vec<_> = points.iter().map(|&m| evaluate::<F>(&rows, width, m)).collect();
    let mut counts = vec![0; (F::P as usize).pow(points.len() as u32)];
    for column in 0..width {
        let cell = shares.iter().fold(0, |at, s| at * F::P as usize + usize::from(s[column]));
        counts[cell] += 1;
    }
    counts
}

fn check_field<F: Field>(members: u16, threshold: usize) {
    for size in 1..threshold {
        let each = F::P.pow((threshold - 1 - size) as u32);
        for points in sets(members, size) {
            for secret in 0..F::P as u16 {
                let counts = distribution::<F>(secret, threshold, &points);
                assert!(
                    counts.iter().all(|&n| n == each),
                    "F_{}, threshold {threshold}: {points:?} learn something of {secret}",
                    F::P
                );
            }
        }
    }
    for points in sets(members, threshold) {
        let weights = lagrange::<F>(&points, 0);
        for secret in 0..F::P as u16 {
            let (rows, width) = all_polynomials::<F>(secret, threshold);
            let shares: Vec<_> = points.iter().map(|&m| evaluate::<F>(&rows, width, m)).collect();
            for column in 0..width {
                let found = interpolate::<F>(&weights, shares.iter().map(|s| s[column]));
                assert_eq!(found, u32::from(secret), "F_{}: {points:?}", F::P);
            }
        }
    }
}

/// Every set of fewer than `threshold` members sees every combination of shares equally often,
/// whatever the secret; every set of `threshold` members gets the secret from every polynomial.
#[test]
fn any_threshold_of_shares_opens_and_fewer_are_uniform() {
    for threshold in 2..=4 {
        check_field::<Small<5>>(4, threshold);
    }
    for threshold in 2..=4 {
        check_field::<Small<7>>(6, threshold);
    }
    check_field::<Small<7>>(5, 5);
    for threshold in 2..=3 {
        check_field::<Small<11>>(10, threshold);
        check_field::<Small<13>>(7, threshold);
    }
    check_field::<Small<13>>(4, 4);
}

/// The polynomials that are published for the low-degree test change nothing: threshold - 1 members
/// that pool their shares and mask shares with them see each possible view equally often, and the
/// same views for every secret and all challenges.
fn check_views<F: Field>(members: u16, threshold: usize, repetitions: usize) {
    let p = F::P as usize;
    let free = threshold - 1 + threshold * repetitions;
    for challenge in 0..p.pow(repetitions as u32) {
        let digits = |x: usize, n: usize| (0..n as u32).map(move |i| (x / p.pow(i) % p) as u16);
        let challenges: Vec<u16> = digits(challenge, repetitions).collect();
        for points in sets(members, threshold - 1) {
            let views = |secret: u16| {
                let mut all: Vec<Vec<u16>> = (0..p.pow(free as u32))
                    .map(|x| {
                        let rows: Vec<u16> = [secret].into_iter().chain(digits(x, free)).collect();
                        let width = 1 + repetitions;
                        let seen = points.iter().map(|&m| evaluate::<F>(&rows, width, m).to_vec());
                        let published = combine_rows::<F>(&challenges, &rows, width, 1);
                        seen.flatten().chain(published).collect()
                    })
                    .collect();
                all.sort_unstable();
                all
            };
            let of_zero = views(0);
            assert!(of_zero.windows(2).all(|pair| pair[0] != pair[1]));
            for secret in 1..F::P as u16 {
                assert_eq!(views(secret), of_zero, "F_{p}: {points:?} learn something");
            }
        }
    }
}

#[test]
fn the_low_degree_test_shows_nothing_of_the_key() {
    check_views::<Small<5>>(4, 2, 1);
    check_views::<Small<3>>(2, 2, 2);
    check_views::<Small<3>>(2, 2, 3);
    check_views::<Small<5>>(3, 3, 1);
}

/// Shares of members 1 and 2 from many real dealings with threshold 3, in cells of a square.
fn dealt_pairs(key: impl Fn(usize) -> i32, seed: u64) -> Vec<u64> {
    const SIDE: usize = 24;
    let f = Federation::new("INSECURE-rlwe-sum/b16/n16", 4, seed);
    let degree = f.context.preset().ring_degree();
    let mut rng = rng(seed);
    let mut cells = vec![0; SIDE * SIDE];
    for _ in 0..160 {
        let key = OneTimeKey::from_coefficients((0..degree).map(&key).collect());
        let ciphertext = CiphertextDigest::new([0; 32]);
        let (commitment, package) =
            share(&f.context, index(1), f.sharing(), &key, ciphertext, &mut rng).unwrap();
        let [one, two] = [1, 2].map(|member: u16| {
            package.opening_for(index(member)).unwrap().verify(&f.context, &commitment).unwrap()
        });
        let cell = |v: u16| usize::from(v) * SIDE / SHARE_MODULUS as usize;
        for (&a, &b) in one.values.iter().zip(two.values.iter()) {
            cells[cell(a) * SIDE + cell(b)] += 1;
        }
    }
    cells
}

/// What `share` hands out, in the real field: the pair of shares of two members, with a threshold
/// of three, is uniform for a key of zeros, of largest and of smallest coefficients, and the counts
/// for two keys do not differ.
#[test]
fn dealt_shares_of_fewer_than_the_threshold_are_uniform() {
    let bound = KEY_BOUND as i32;
    let keys: [fn(usize) -> i32; 3] =
        [|_| 0, |_| KEY_BOUND as i32, |c| -(KEY_BOUND as i32) * (c as i32 % 2)];
    assert_eq!((keys[1](0), keys[2](1)), (bound, -bound));
    let counts: Vec<Vec<u64>> =
        (20..).zip(keys).map(|(seed, key)| dealt_pairs(key, seed)).collect();
    let total: u64 = counts[0].iter().sum();
    let expected = vec![total as f64 / counts[0].len() as f64; counts[0].len()];
    for counts in &counts {
        let (statistic, limit) = statistics::chi_squared(counts, &expected);
        assert!(statistic < limit, "{statistic} of {limit}");
    }
    // Two samples of equal size: sum of (a - b)^2 / (a + b) is chi-squared too.
    for other in &counts[1..] {
        let pairs = counts[0].iter().zip(other);
        let statistic: f64 =
            pairs.map(|(&a, &b)| (a as f64 - b as f64).powi(2) / (a + b) as f64).sum();
        let (_, limit) = statistics::chi_squared(other, &expected);
        assert!(statistic < limit, "{statistic} of {limit}");
    }
}

/// Any threshold of members opens what was really dealt, and so do all others.
#[test]
fn every_threshold_of_real_shares_opens_the_key() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 6, 23);
    f.contribute(3, vec![7.0; 40], 1);
    f.contribute(5, vec![-9.0; 40], 1);
    for size in usize::from(f.threshold)..=6 {
        for points in sets(6, size) {
            assert_eq!(f.open(&points).0, f.expected(), "{points:?}");
        }
    }
}
