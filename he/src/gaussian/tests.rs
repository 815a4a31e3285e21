//! The sampler against the exact distribution, on every path. For the limits and their false-alarm
//! probability see `tests/statistics.rs`.

use super::*;
use crate::params::{ERROR_BOUND, KEY_BOUND};
use crate::tests::statistics::{chi_squared, deviations, is_poisson};

/// One of the two distributions: its table and its exact probabilities, by the formula and not by
/// the table.
struct Gaussian {
    table: &'static [u64],
    variance: f64,
    total: f64,
}

impl Gaussian {
    fn new(table: &'static [u64], variance: f64) -> Self {
        let mut it = Self { table, variance, total: 1.0 };
        it.total = (-200..=200).map(|k| it.p(k)).sum();
        it
    }

    fn both() -> [Self; 2] {
        [Self::new(&ERROR_TABLE, 40.96), Self::new(&KEY_TABLE, 20.48)]
    }

    fn p(&self, k: i64) -> f64 {
        (-(k * k) as f64 / (2.0 * self.variance)).exp() / self.total
    }

    /// Largest magnitude there is.
    fn edge(&self) -> i64 {
        self.table.len() as i64
    }

    /// The exact average of a function of a sample.
    fn mean(&self, f: impl Fn(i64) -> f64) -> f64 {
        (-200..=200).map(|k| self.p(k) * f(k)).sum()
    }

    /// Blocks of `degree` samples, as an encryption draws its errors.
    fn samples(&self, kernel: Kernel, blocks: u64, degree: usize) -> Vec<i64> {
        let mut words = vec![0; degree * blocks as usize];
        for (block, words) in (0..).zip(words.chunks_mut(degree)) {
            fill_secret(&[self.table.len() as u8; 32], block, words);
            kernel.sample_gaussian(words, self.table);
        }
        words.iter().map(|&w| w as i64).collect()
    }
}

const BLOCKS: u64 = 1024;
const DEGREE: usize = 4096;

/// The table against the formula: 2^63 minus an entry is the weight of all larger magnitudes, to
/// one unit or to thirteen digits. (The script that generates the table computes with a hundred.)
#[test]
fn the_table_is_the_cumulative_distribution() {
    for gaussian in Gaussian::both() {
        for (k, &entry) in (0..).zip(gaussian.table) {
            let beyond: f64 = (k + 1..=200).rev().map(|k| 2.0 * gaussian.p(k)).sum();
            let (left, exact) = (((1 << 63) - entry) as f64, beyond * 2f64.powi(63));
            assert!((left - exact).abs() < 1.0 + exact * 1e-13, "{k}: {left}, not {exact}");
        }
    }
}

/// Both sides of every number at which a comparison changes, with both signs, so that every value
/// of the support occurs.
#[test]
fn every_path_counts_the_same_entries() {
    for Gaussian { table, .. } in Gaussian::both() {
        let edges: Vec<u64> = table
            .iter()
            .flat_map(|&t| [t - 1, t, t + 1])
            .chain([0, 1, (1 << 63) - 1])
            .flat_map(|r| [r << 1, r << 1 | 1])
            .collect();
        for kernel in Kernel::available() {
            let mut words = edges.clone();
            kernel.sample_gaussian(&mut words, table);
            for (&edge, &word) in edges.iter().zip(&words) {
                let magnitude = table.iter().filter(|&&t| edge >> 1 >= t).count() as i64;
                let expected = if edge & 1 == 1 { -magnitude } else { magnitude };
                assert_eq!(word as i64, expected, "{kernel:?}");
            }
            for k in -(table.len() as i64)..=table.len() as i64 {
                assert!(words.contains(&(k as u64)), "{kernel:?} never gives {k}");
            }
        }
    }
}

/// Four million words, and all lengths that leave a partial vector at the end.
#[test]
fn every_path_gives_the_same_samples() {
    for gaussian in Gaussian::both() {
        let reference = gaussian.samples(Kernel::SCALAR, BLOCKS, DEGREE);
        for kernel in Kernel::available() {
            assert!(gaussian.samples(kernel, BLOCKS, DEGREE) == reference, "{kernel:?}");
            for len in 0..70 {
                let short = gaussian.samples(kernel, 1, len + 1);
                assert_eq!(short, reference[..=len], "{kernel:?} {len}");
            }
        }
    }
}

/// Chi-squared over the support, sign by sign; the values at each end that are expected fewer than
/// 20 times are merged into one cell.
#[test]
fn samples_follow_the_distribution_on_every_path() {
    for gaussian in Gaussian::both() {
        for kernel in Kernel::available() {
            let samples = gaussian.samples(kernel, BLOCKS, DEGREE);
            let n = samples.len() as f64;
            let last = (1..).take_while(|&k| n * gaussian.p(k + 1) >= 20.0).last().unwrap();
            let mut found = vec![0; 2 * last as usize + 3];
            for &sample in &samples {
                found[(sample.clamp(-last - 1, last + 1) + last + 1) as usize] += 1;
            }
            let tail: f64 = (last + 1..=200).map(|k| n * gaussian.p(k)).sum();
            let inner = (-last..=last).map(|k| n * gaussian.p(k));
            let expected: Vec<f64> = [tail].into_iter().chain(inner).chain([tail]).collect();
            let (statistic, limit) = chi_squared(&found, &expected);
            assert!(statistic < limit, "{kernel:?}: {statistic} of {limit}");
        }
    }
}

/// The averages of x, x^2, x^3, x^4 and x^6 are within the limits for a normal variable.
#[test]
fn moments_are_those_of_the_distribution_on_every_path() {
    for gaussian in Gaussian::both() {
        for kernel in Kernel::available() {
            let samples = gaussian.samples(kernel, BLOCKS, DEGREE);
            let n = samples.len() as f64;
            for power in [1, 2, 3, 4, 6] {
                let f = |x: i64| (x as f64).powi(power);
                let (mean, square) = (gaussian.mean(f), gaussian.mean(|x| f(x) * f(x)));
                let deviation = ((square - mean * mean) / n).sqrt();
                let found = samples.iter().map(|&x| f(x)).sum::<f64>() / n;
                let z = (found - mean) / deviation;
                assert!(z.abs() < deviations(), "{kernel:?}, x^{power}: {z}");
            }
        }
    }
}

/// As many samples beyond 4, 5 and 6 deviations as there should be, and none beyond the table.
#[test]
fn the_tail_is_that_of_the_distribution_on_every_path() {
    assert_eq!(
        (ERROR_TABLE.len() as u32 + 1, KEY_TABLE.len() as u32 + 1),
        (ERROR_BOUND, KEY_BOUND)
    );
    for gaussian in Gaussian::both() {
        for kernel in Kernel::available() {
            let samples = gaussian.samples(kernel, BLOCKS, DEGREE);
            assert!(samples.iter().all(|x| x.abs() <= gaussian.edge()));
            for deviations in [4.0, 5.0, 6.0] {
                let from = (deviations * gaussian.variance.sqrt()) as i64;
                for sign in [1, -1] {
                    let found = samples.iter().filter(|&&x| sign * x >= from).count() as u64;
                    let beyond: f64 = (from..=200).map(|k| gaussian.p(k)).sum();
                    let expected = beyond * samples.len() as f64;
                    assert!(is_poisson(found, expected), "{kernel:?}: {found}, not {expected}");
                }
            }
        }
    }
}

/// Adjacent samples, in one lane, in one vector, in neighbouring rows and in neighbouring blocks:
/// pairs of disjoint samples in cells of 8 x 8, by size and by the lowest bits, and their
/// correlation.
#[test]
fn neighbours_are_independent_on_every_path() {
    for gaussian in Gaussian::both() {
        let deviation = gaussian.variance.sqrt();
        // Eight classes of about the same weight; residues modulo eight.
        let by_size = |x: i64| {
            let limits = [-1.15, -0.67, -0.32, 0.0, 0.32, 0.67, 1.15];
            limits.iter().filter(|&&limit| x as f64 > limit * deviation).count()
        };
        let by_bits = |x: i64| x.rem_euclid(8) as usize;
        let classes: [&dyn Fn(i64) -> usize; 2] = [&by_size, &by_bits];
        for kernel in Kernel::available() {
            let samples = gaussian.samples(kernel, BLOCKS, DEGREE);
            for lag in [1, 2, 3, 4, 8, 16, 32, DEGREE] {
                let pairs = || {
                    let halves = samples.chunks_exact(2 * lag).map(|run| run.split_at(lag));
                    halves.flat_map(|(a, b)| a.iter().copied().zip(b.iter().copied()))
                };
                let count = pairs().count() as f64;
                for class in classes {
                    let weight = |c: usize| gaussian.mean(|x| f64::from(u8::from(class(x) == c)));
                    let weights: Vec<f64> = (0..8).map(weight).collect();
                    let expected: Vec<f64> =
                        (0..64).map(|c| count * weights[c / 8] * weights[c % 8]).collect();
                    let mut found = vec![0; 64];
                    pairs().for_each(|(a, b)| found[8 * class(a) + class(b)] += 1);
                    let (statistic, limit) = chi_squared(&found, &expected);
                    assert!(statistic < limit, "{kernel:?}, lag {lag}: {statistic} of {limit}");
                }
                let products: f64 = pairs().map(|(a, b)| (a * b) as f64).sum();
                let z = products / gaussian.variance / count.sqrt();
                assert!(z.abs() < deviations(), "{kernel:?}, lag {lag}: {z}");
            }
        }
    }
}

/// The keys of many encryptions follow the distribution too.
#[test]
fn keys_follow_the_distribution() {
    let gaussian = Gaussian::new(&KEY_TABLE, 20.48);
    for kernel in Kernel::available() {
        let mut found = vec![0; 31];
        let mut count = 0.0;
        for seed in 0..64u8 {
            for &k in key(kernel, &[seed; 32], DEGREE).iter() {
                assert!(k.unsigned_abs() <= KEY_BOUND);
                found[(k.clamp(-15, 15) + 15) as usize] += 1;
                count += 1.0;
            }
        }
        let tail: f64 = (15..=200).map(|k| count * gaussian.p(k)).sum();
        let inner = (-14..=14).map(|k| count * gaussian.p(k));
        let expected: Vec<f64> = [tail].into_iter().chain(inner).chain([tail]).collect();
        let (statistic, limit) = chi_squared(&found, &expected);
        assert!(statistic < limit, "{kernel:?}: {statistic} of {limit}");
    }
}
