//! Dividing the examples of several files over members so that nobody's look like another's.

use fedshield_train::data::DataSet;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::members::Member;

/// Divides each file over `count` members: shares drawn from a symmetric Dirichlet distribution,
/// one draw for each file, then each example by itself. All three parts follow the same shares, so
/// that a member is tested on what it trains on. A small concentration gives each file to few
/// members. Draws are repeated until every member has `least` examples to train on, and some in
/// each part.
pub(crate) fn dirichlet(
    files: &[Member],
    count: usize,
    concentration: f64,
    least: usize,
    seed: u64,
) -> Vec<Member> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    loop {
        let mut divided = vec![DataSet::default(); count];
        for Member { data, .. } in files {
            let shares: Vec<f64> = (0..count).map(|_| gamma(concentration, &mut rng)).collect();
            for example in &data.train {
                divided[pick(&shares, &mut rng)].train.push(example.clone());
            }
            for example in &data.held_out {
                divided[pick(&shares, &mut rng)].held_out.push(example.clone());
            }
            for example in &data.test {
                divided[pick(&shares, &mut rng)].test.push(example.clone());
            }
        }
        let is_usable = |set: &DataSet| {
            set.train.len() >= least && set.held_out.len() >= 2 && set.test.len() >= 2
        };
        if divided.iter().all(is_usable) {
            let named = |(index, data)| Member { name: format!("member{}", index + 1), data };
            return divided.into_iter().enumerate().map(named).collect();
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
