//! Schedules over applied rounds. Members compute clipping bounds and masks from them, so every
//! value has the same bits on every machine: the arithmetic is f64 in a fixed order, and the cosine
//! is that of the `libm` crate, whose version is pinned (the system's library may differ in the
//! last digit).

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Cosine decay over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningRate {
    /// Learning rate in the first round.
    pub peak: f64,
    /// Learning rate in the last round and after; above 0, because clipping bounds are proportional
    /// to it.
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
    /// The learning rate after `applied` rounds.
    pub fn at(&self, applied: u64) -> f64 {
        let last = self.rounds.saturating_sub(1).max(1);
        let progress = applied.min(last) as f64 / last as f64;
        self.last + (self.peak - self.last) * 0.5 * (1.0 + libm::cos(PI * progress))
    }
}

/// Who chooses the coordinates that are pruned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PruneRule {
    /// One mask for all members, so that only the remaining coordinates are sent.
    #[default]
    Shared,
    /// The paper's rule: each member sets the smallest weights of each of its own factors to zero
    /// and sends every coordinate.
    Local,
}

/// The paper's schedule of the pruning rate; by default its rounds follow from the length of the
/// run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneSchedule {
    /// Who chooses the coordinates that are pruned.
    pub rule: PruneRule,
    /// Fraction pruned up to `start_round`.
    pub start_rate: f64,
    /// Fraction pruned from `end_round` on.
    pub end_rate: f64,
    /// Round from which the fraction grows.
    pub start_round: u64,
    /// Round from which it stays.
    pub end_round: u64,
    /// Fraction of all coordinates that the beacon draws instead of the score, so that every
    /// coordinate is sent again from time to time.
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
    /// A constant rate in every round after the first ones.
    pub fn constant(rate: f64) -> Self {
        Self { start_rate: rate, end_rate: rate, start_round: 0, end_round: 1, ..Self::default() }
    }

    /// The fraction pruned after `applied` rounds.
    pub fn rate(&self, applied: u64) -> f64 {
        let span = self.end_round.saturating_sub(self.start_round).max(1);
        let done = applied.saturating_sub(self.start_round).min(span);
        self.start_rate + done as f64 / span as f64 * (self.end_rate - self.start_rate)
    }

    /// Number of the `len` coordinates that are sent after `applied` rounds: (by score, by the
    /// beacon).
    pub fn counts(&self, applied: u64, len: usize) -> (usize, usize) {
        let kept = ((1.0 - self.rate(applied)) * len as f64).ceil() as usize;
        let kept = kept.clamp(usize::from(len > 0), len);
        let drawn = if kept == len { 0 } else { (self.explore * len as f64).floor() as usize };
        let drawn = drawn.min(kept);
        (kept - drawn, drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another version of `libm`, or another machine, must give these bits; otherwise members clip
    /// by different bounds.
    #[test]
    fn the_learning_rate_has_these_bits() {
        let rate = LearningRate::default();
        let bits = [0, 1, 5, 10, 15, 18, 19].map(|applied| rate.at(applied).to_bits());
        let pinned = [
            0x3f50_624d_d2f1_a9fc,
            0x3f50_488f_d393_5e02,
            0x3f4c_0263_0060_691d,
            0x3f40_ce01_ffc3_1e7b,
            0x3f29_8b50_9d20_50a7,
            0x3f1b_d2c2_e101_02c3,
            0x3f1a_36e2_eb1c_432d,
        ];
        assert_eq!(bits, pinned, "{bits:x?}");
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
        assert_eq!(PruneSchedule::constant(0.0).counts(7, 1000), (1000, 0));
    }
}
