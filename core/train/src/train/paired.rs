//! Whether one adapter is better than another on the same examples, and how sure that is.

use serde::{Deserialize, Serialize};

use super::evaluate::ExampleLoss;
use crate::random::Stream;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// Difference of two mean losses on the same examples, the first minus the second: positive where
/// the second is better. Examples are the unit: tokens of one answer are not independent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Nats per response token.
    pub mean: f64,
    /// Its standard error over the examples.
    pub standard_error: f64,
    /// 2.5th percentile of the bootstrap over examples.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// Mean loss over all tokens of `losses`, in nats; NaN without any.
pub fn mean_loss(losses: &[ExampleLoss]) -> f64 {
    let sum: f64 = losses.iter().map(|loss| loss.sum).sum();
    sum / losses.iter().map(|loss| loss.tokens as f64).sum::<f64>()
}

impl PairedDifference {
    /// `first` and `second` are losses on the same examples in the same order; `None` if they are
    /// not, or there are fewer than two.
    pub fn of(first: &[ExampleLoss], second: &[ExampleLoss]) -> Option<Self> {
        let same = first.len() == second.len() && first.len() >= 2;
        let mut pairs = first.iter().zip(second);
        if !same || !pairs.all(|(a, b)| (a.digest, a.tokens) == (b.digest, b.tokens)) {
            return None;
        }
        let differences: Vec<(f64, f64)> =
            first.iter().zip(second).map(|(a, b)| (a.sum - b.sum, a.tokens as f64)).collect();
        let n = differences.len() as f64;
        let tokens: f64 = differences.iter().map(|(_, tokens)| tokens).sum();
        let mean = differences.iter().map(|(sum, _)| sum).sum::<f64>() / tokens;
        // The linearised error of a ratio of two sums.
        let squares: f64 = differences.iter().map(|(d, t)| (d - mean * t).powi(2)).sum();
        let standard_error = (squares * n / (n - 1.0)).sqrt() / tokens;
        let mut means = resampled(&differences);
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means[(share * (means.len() - 1) as f64).round() as usize];
        Some(Self { mean, standard_error, low: at(0.025), high: at(0.975) })
    }
}

/// Means over examples drawn with replacement; the same for the same differences.
fn resampled(differences: &[(f64, f64)]) -> Vec<f64> {
    let mut stream = Stream::new([0; 32], "bootstrap");
    let mut one = || {
        let (mut sum, mut tokens) = (0.0, 0.0);
        for _ in 0..differences.len() {
            let (d, t) = differences[stream.below(differences.len() as u64) as usize];
            sum += d;
            tokens += t;
        }
        sum / tokens
    };
    (0..RESAMPLES).map(|_| one()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(values: impl IntoIterator<Item = (f64, usize)>) -> Vec<ExampleLoss> {
        let one = |(index, (sum, tokens)): (usize, (f64, usize))| ExampleLoss {
            digest: [index as u8; 16],
            sum,
            tokens,
        };
        values.into_iter().enumerate().map(one).collect()
    }

    /// The differences of ten examples of ten tokens are 1 to 10 nats: 0.55 a token, with a
    /// standard deviation of 0.3028 over examples.
    #[test]
    fn mean_error_and_interval() {
        let first = losses((1..=10).map(|i| (20.0 + f64::from(i), 10)));
        let second = losses((1..=10).map(|_| (20.0, 10)));
        let difference = PairedDifference::of(&first, &second).unwrap();
        assert!((difference.mean - 0.55).abs() < 1e-12, "{difference:?}");
        assert!((difference.standard_error - 0.30277 / 10f64.sqrt()).abs() < 1e-4);
        assert!((difference.low - 0.37).abs() < 0.03 && (difference.high - 0.73).abs() < 0.03);
        assert_eq!(PairedDifference::of(&first, &second), Some(difference));
        assert!((mean_loss(&first) - 2.55).abs() < 1e-12);
        // The same noise in both does not matter: that is what pairs are for.
        let noise = |base: f64| losses((0..50).map(|i| (base + f64::from(i * 37 % 50), 10)));
        let paired = PairedDifference::of(&noise(21.0), &noise(20.0)).unwrap();
        assert!((paired.mean - 0.1).abs() < 1e-12 && paired.standard_error < 1e-12);
    }

    #[test]
    fn other_examples_are_not_compared() {
        let first = losses([(1.0, 3), (2.0, 4)]);
        assert!(PairedDifference::of(&first, &losses([(1.0, 3)])).is_none());
        assert!(PairedDifference::of(&first, &losses([(1.0, 3), (2.0, 5)])).is_none());
        assert!(PairedDifference::of(&first[..1], &first[..1]).is_none());
        assert!(PairedDifference::of(&[], &[]).is_none());
    }
}
