//! Dividing labelled data over members so that nobody's looks like another's.

use fedshield_train::data::DataSet;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Divides each set over `members`: shares drawn from a symmetric Dirichlet distribution, one draw
/// for each set, then each example by itself. Held-out examples follow the same shares, so that a
/// member is tested on what it trains on. A small concentration gives each set to few members.
/// Draws are repeated until every member has `least` examples to train on and one to be tested on.
pub(crate) fn dirichlet(
    sets: &[DataSet],
    members: usize,
    concentration: f64,
    least: usize,
    seed: u64,
) -> Vec<DataSet> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    loop {
        let mut divided = vec![DataSet::default(); members];
        for set in sets {
            let shares: Vec<f64> = (0..members).map(|_| gamma(concentration, &mut rng)).collect();
            for example in &set.train {
                divided[pick(&shares, &mut rng)].train.push(example.clone());
            }
            for example in &set.held_out {
                divided[pick(&shares, &mut rng)].held_out.push(example.clone());
            }
        }
        if divided.iter().all(|set| set.train.len() >= least && !set.held_out.is_empty()) {
            return divided;
        }
    }
}

/// An index with probability proportional to its weight.
fn pick(weights: &[f64], rng: &mut impl Rng) -> usize {
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    weights.len() - 1
}

/// Gamma distributed with this shape and scale 1: Marsaglia and Tsang's method (2000), which wants
/// a shape of at least 1; below, that of shape + 1 times U^(1/shape).
fn gamma(shape: f64, rng: &mut impl Rng) -> f64 {
    if shape < 1.0 {
        let u: f64 = 1.0 - rng.random::<f64>();
        return gamma(shape + 1.0, rng) * u.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u: f64 = 1.0 - rng.random::<f64>();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// Standard normal, by Box and Muller.
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
