//! Intervals of the difference of two ways to train, over seeds and examples.

use fedshield_train::ExampleLoss;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RESAMPLES: usize = 2000;

/// A mean over seeds in nats per token, and the 2.5th and 97.5th percentile of its bootstrap over
/// examples. Three seeds are too few to be drawn themselves: how far they lie apart stands beside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// Of one example: the difference of its two losses, and its tokens.
type Difference = (f64, f64);

/// The first loss minus the second; `None` if the examples of a seed are not the same in both, or
/// fewer than two. Where all seeds have the same examples, an example is drawn for all of them at
/// once; where each seed has its own division, each draws by itself.
pub(crate) fn interval(seeds: &[(Vec<ExampleLoss>, Vec<ExampleLoss>)]) -> Option<Interval> {
    let differences: Vec<Vec<Difference>> =
        seeds.iter().map(|(first, second)| paired(first, second)).collect::<Option<_>>()?;
    let first = seeds.first()?;
    let is_joint = seeds.iter().all(|(losses, _)| {
        losses.len() == first.0.len()
            && losses.iter().zip(&first.0).all(|(a, b)| a.digest == b.digest)
    });
    let all = |seed: &Vec<Difference>| ratio(seed.iter().copied());
    let mean = mean(differences.iter().map(all));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draws = Vec::new();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut total = 0.0;
            for (index, seed) in differences.iter().enumerate() {
                if index == 0 || !is_joint {
                    draws = (0..seed.len()).map(|_| rng.random_range(0..seed.len())).collect();
                }
                total += ratio(draws.iter().map(|draw| seed[*draw]));
            }
            total / differences.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[(share * (means.len() - 1) as f64).round() as usize];
    Some(Interval { mean, low: at(0.025), high: at(0.975) })
}

fn paired(first: &[ExampleLoss], second: &[ExampleLoss]) -> Option<Vec<Difference>> {
    let is_same =
        |(a, b): (&ExampleLoss, &ExampleLoss)| (a.digest, a.tokens) == (b.digest, b.tokens);
    let fits = first.len() == second.len() && first.len() >= 2;
    let difference = |(a, b): (&ExampleLoss, &ExampleLoss)| (a.sum - b.sum, a.tokens as f64);
    (fits && first.iter().zip(second).all(is_same))
        .then(|| first.iter().zip(second).map(difference).collect())
}

fn ratio(differences: impl Iterator<Item = Difference>) -> f64 {
    let (sum, tokens) = differences.fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
    sum / tokens
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
