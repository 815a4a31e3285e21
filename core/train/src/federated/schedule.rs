//! Schedules over applied rounds. Members compute clipping bounds and masks from them, so they use
//! only additions, multiplications and divisions of f64: the same bits on every machine. (The cosine
//! of the system's library may differ in its last digit.)

use serde::{Deserialize, Serialize};

/// Cosine decay over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningRate {
    /// In the first round.
    pub peak: f64,
    /// In the last round and after; above 0, because clipping bounds are proportional to it.
    pub last: f64,
    /// Planned number of applied rounds.
    pub rounds: u64,
}

impl Default for LearningRate {
    fn default() -> Self {
        Self { peak: 1e-3, last: 1e-4, rounds: 20 }
    }
}

impl LearningRate {
    /// The learning rate after `t` applied rounds.
    pub fn at(&self, t: u64) -> f64 {
        let last = self.rounds.saturating_sub(1).max(1);
        let progress = t.min(last) as f64 / last as f64;
        self.last + (self.peak - self.last) * 0.5 * (1.0 + cos_pi(progress))
    }
}

/// Who chooses the coordinates that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PruneRule {
    /// One mask for all members, so that only what survives is sent.
    #[default]
    Shared,
    /// The paper's: each member sets the smallest weights of each of its own factors to zero and sends every
    /// coordinate.
    Local,
}

/// The paper's schedule of the pruning rate, with its rounds given by the run's length by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneSchedule {
    /// Who chooses.
    pub rule: PruneRule,
    /// Fraction pruned up to `start_round`.
    pub start_rate: f64,
    /// Fraction pruned from `end_round` on.
    pub end_rate: f64,
    /// Round from which the fraction grows.
    pub start_round: u64,
    /// Round from which it stays.
    pub end_round: u64,
    /// Fraction of all coordinates drawn by the beacon instead of chosen by score, so that every
    /// coordinate is looked at again from time to time.
    pub explore: f64,
}

impl Default for PruneSchedule {
    fn default() -> Self {
        Self {
            rule: PruneRule::default(),
            start_rate: 0.2,
            end_rate: 0.5,
            start_round: 4,
            end_round: 20,
            explore: 0.05,
        }
    }
}

impl PruneSchedule {
    /// Nothing is pruned.
    pub fn none() -> Self {
        Self::constant(0.0)
    }

    /// The same rate in every round after the first ones.
    pub fn constant(rate: f64) -> Self {
        Self { start_rate: rate, end_rate: rate, start_round: 0, end_round: 1, ..Self::default() }
    }

    /// The paper's rates with rounds at 0.2 and 1.0 of a run of `rounds`.
    pub fn for_run(rounds: u64) -> Self {
        Self { start_round: rounds / 5, end_round: rounds, ..Self::default() }
    }

    /// The fraction pruned after `t` applied rounds.
    pub fn rate(&self, t: u64) -> f64 {
        let span = self.end_round.saturating_sub(self.start_round).max(1);
        let done = t.saturating_sub(self.start_round).min(span);
        self.start_rate + done as f64 / span as f64 * (self.end_rate - self.start_rate)
    }

    /// How many of `len` coordinates are sent after `t` applied rounds: (by score, by the beacon).
    pub fn counts(&self, t: u64, len: usize) -> (usize, usize) {
        let kept = ((1.0 - self.rate(t)) * len as f64).ceil() as usize;
        let kept = kept.clamp(usize::from(len > 0), len);
        let drawn = if kept == len { 0 } else { (self.explore * len as f64).floor() as usize };
        let drawn = drawn.min(kept);
        (kept - drawn, drawn)
    }
}

/// cos(pi x) for x in [0, 1], to about 1e-12, by its Taylor series around the nearer zero of sine.
fn cos_pi(x: f64) -> f64 {
    if x > 0.5 {
        return -cos_pi(1.0 - x);
    }
    let square = (std::f64::consts::PI * x) * (std::f64::consts::PI * x);
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..=12u32 {
        term = -term * square / f64::from((2 * k - 1) * (2 * k));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_agrees_with_the_library() {
        for step in 0..=1000 {
            let x = f64::from(step) / 1000.0;
            assert!((cos_pi(x) - (std::f64::consts::PI * x).cos()).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn learning_rate_falls_from_peak_to_last() {
        let rate = LearningRate { peak: 1.0, last: 0.1, rounds: 5 };
        assert_eq!(rate.at(0), 1.0);
        assert!((rate.at(2) - 0.55).abs() < 1e-12);
        assert!((rate.at(4) - 0.1).abs() < 1e-12 && rate.at(9) == rate.at(4));
    }

    #[test]
    fn the_papers_schedule() {
        let schedule = PruneSchedule {
            start_rate: 0.2,
            end_rate: 0.5,
            start_round: 40,
            end_round: 200,
            ..PruneSchedule::default()
        };
        assert_eq!(schedule.rate(0), 0.2);
        assert_eq!(schedule.rate(40), 0.2);
        assert!((schedule.rate(120) - 0.35).abs() < 1e-12);
        assert_eq!(schedule.rate(200), 0.5);
        assert_eq!(schedule.rate(500), 0.5);
        assert_eq!(schedule.counts(200, 1000), (450, 50));
        assert_eq!(PruneSchedule::none().counts(7, 1000), (1000, 0));
    }
}
