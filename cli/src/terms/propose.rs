//! Terms that fit the data, the model and the machine, where no flag says otherwise.

use fedshieldd::terms::MOST_PASSES;

use super::{TermsFlags, TermsPreset};

/// Fewest and most rounds that are proposed.
const ROUNDS: (u64, u64) = (4, 200);
/// Learning rate times width of the model. Adam's best rate falls with the width (Tensor Programs
/// V, arXiv:2203.03466); the factor is that of the shipped model: 0.008 at a width of 192, chosen
/// by validation (docs/results/shipped-model.md).
const RATE_TIMES_WIDTH: f64 = 1.5;
/// Smallest and largest rate that is proposed.
const RATES: (f64, f64) = (1e-4, 8e-3);
/// How much slower another member's machine may be.
const SLOWER: f64 = 4.0;
/// Bytes a second that a member's connection carries at least.
const CONNECTION: f64 = 1e6;
/// Minutes of a round that are proposed at least and at most: members may be away for a while.
const ROUND_MINUTES: (u64, u64) = (10, 10_080);

/// The preset for members with about this many examples each.
#[must_use]
pub fn preset_for(examples: Option<u64>) -> TermsPreset {
    match examples {
        None | Some(..200) => TermsPreset::Small,
        Some(200..5000) => TermsPreset::Standard,
        Some(5000..) => TermsPreset::Large,
    }
}

/// The rounds in which each of `examples` examples is trained on as often as it may be.
#[must_use]
pub fn rounds(examples: u64, preset: TermsPreset, flags: &TermsFlags) -> u64 {
    let (steps, batch) = preset.steps_and_batch();
    let a_round = u64::from(flags.steps.unwrap_or(steps)) * u64::from(flags.batch.unwrap_or(batch));
    let most = (MOST_PASSES * examples as f64 / a_round as f64) as u64;
    most.clamp(ROUNDS.0, ROUNDS.1)
}

/// The learning rate for a model of this width, one digit of it.
#[must_use]
pub fn rate(width: usize) -> f64 {
    let rate = (RATE_TIMES_WIDTH / width.max(1) as f64).clamp(RATES.0, RATES.1);
    let digit = 10f64.powf(rate.log10().floor());
    // Through text, so that 0.003 is 0.003 and not its neighbour.
    format!("{:.0e}", (rate / digit).round() * digit).parse().unwrap_or(rate)
}

/// Minutes until a round is skipped, for members that train for `seconds` on this machine and
/// receive `bytes` in a round. Half of a round is for training, a quarter for transfer.
#[must_use]
pub fn round_minutes(seconds: f64, bytes: u64) -> u64 {
    let training = 2.0 * SLOWER * seconds;
    let transfer = 4.0 * bytes as f64 / CONNECTION;
    let minutes = (training.max(transfer) / 60.0).ceil() as u64;
    minutes.clamp(ROUND_MINUTES.0, ROUND_MINUTES.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_the_data() {
        let flags = TermsFlags::default();
        let of = |examples| rounds(examples, TermsPreset::Small, &flags);
        assert_eq!([of(10), of(60), of(400), of(1_000_000)], [4, 7, 50, 200]);
        let long = TermsFlags { steps: Some(50), ..TermsFlags::default() };
        assert_eq!(rounds(400, TermsPreset::Small, &long), 10);
    }

    #[test]
    fn the_preset_follows_the_data_and_the_rate_the_width() {
        let presets = [None, Some(48), Some(200), Some(5000)].map(preset_for);
        assert_eq!(presets[..2], [TermsPreset::Small; 2]);
        assert_eq!(presets[2..], [TermsPreset::Standard, TermsPreset::Large]);
        let rates = [64, 192, 576, 2048, 4096, 100_000, 0].map(rate);
        assert_eq!(rates, [0.008, 0.008, 0.003, 0.0007, 0.0004, 0.0001, 0.008]);
    }

    #[test]
    fn a_round_leaves_time_for_slower_members_and_connections() {
        assert_eq!(round_minutes(1.0, 1000), 10);
        // Training has half of a round: four times 150 seconds, twice.
        assert_eq!(round_minutes(150.0, 1000), 20);
        // Transfer has a quarter: 600 MB at 1 MB/s, four times.
        assert_eq!(round_minutes(1.0, 600_000_000), 40);
        assert_eq!(round_minutes(f64::MAX, u64::MAX), 10_080);
        assert_eq!(round_minutes(f64::NAN, 0), 10);
    }
}
