//! Warns the operator when a loss diverges from its reference: terms that are too aggressive make
//! every round worse than the one before, and rounds are applied all the same.

use std::collections::VecDeque;

use fedshield_protocol::ids::Round;

use crate::conditions::Conditions;
use crate::control::api::{Condition, RoundReport, Severity};

/// Consecutive measured rounds that make a trend.
const WINDOW: usize = 3;
const HINT: &str = "the learning rate or the server's step is probably too large: talk to the other members; an earlier \
                    adapter (`adapter export`) can be where a new federation starts (`federation new --adapter`)";

/// One loss over the rounds, and the reference that it is compared with.
#[derive(Debug)]
pub(super) struct Trend {
    /// Name of the condition.
    name: &'static str,
    /// The name of the loss in messages.
    what: &'static str,
    /// The name of the reference in messages.
    against: &'static str,
    /// A loss above the reference times this factor counts as diverged.
    tolerance: f64,
    reference: Option<f64>,
    recent: VecDeque<(Round, f64)>,
}

impl Trend {
    /// The common adapter's held-out loss compared with the base model's: detects an adapter that
    /// is worse than none.
    pub(super) fn held_out() -> Self {
        Self::new(
            "held-out-loss-grows",
            "the common adapter's loss on this node's held-out data",
            "the base model's",
            1.02,
        )
    }

    /// The mean training loss of a round compared with that of the first one: noisier, and all that
    /// a node without held-out data has.
    pub(super) fn training() -> Self {
        Self::new("training-loss-grows", "the training loss here", "the first round's", 1.15)
    }

    /// The federation's mean of loss over base loss compared with its best: the same at every
    /// member.
    pub(super) fn joint() -> Self {
        Self::new(
            "federation-loss-grows",
            "the mean of all members' losses, over the base model's,",
            "the best so far",
            1.02,
        )
    }

    fn new(name: &'static str, what: &'static str, against: &'static str, tolerance: f64) -> Self {
        Self { name, what, against, tolerance, reference: None, recent: VecDeque::new() }
    }

    /// Sets the reference.
    pub(super) fn against(&mut self, reference: f64) {
        self.reference = Some(reference);
    }

    /// Adds the loss of a round, or replaces that of the same round.
    pub(super) fn add(&mut self, round: Round, loss: f64) {
        self.recent.retain(|(known, _)| *known != round);
        self.recent.push_back((round, loss));
        while self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }

    /// As [`Self::add`], except that the first loss becomes the reference.
    pub(super) fn first_or_next(&mut self, round: Round, loss: f64) {
        self.reference.get_or_insert(loss);
        self.add(round, loss);
    }

    /// As [`Self::add`], except that the best loss is the reference.
    pub(super) fn best_or_next(&mut self, round: Round, loss: f64) {
        self.reference = Some(self.reference.map_or(loss, |best| best.min(loss)));
        self.add(round, loss);
    }

    /// Adds the finished rounds of earlier runs, oldest first; `loss` selects the value.
    pub(super) fn recall(
        &mut self,
        reports: &[RoundReport],
        loss: impl Fn(&RoundReport) -> Option<f64>,
    ) {
        for report in reports {
            if let Some(loss) = loss(report) {
                self.add(report.round, loss);
            }
        }
    }

    /// Sets or clears the condition.
    pub(super) fn show(&self, board: &Conditions) {
        board.show(self.name, self.condition());
    }

    fn condition(&self) -> Option<Condition> {
        let warn =
            |text: String| Condition::new(self.name, Severity::Warning, text).with_hint(HINT);
        let (last_round, last) = *self.recent.back()?;
        if !last.is_finite() {
            return Some(warn(format!(
                "{} is not a finite number after round {last_round}",
                self.what
            )));
        }
        let reference = self.reference.filter(|it| it.is_finite() && *it > 0.0)?;
        let diverged = |loss: f64| !loss.is_finite() || loss > reference * self.tolerance;
        let (first_round, first) = *self.recent.front()?;
        let grows = self.recent.len() == WINDOW
            && self.recent.iter().all(|(_, loss)| diverged(*loss))
            && last > first;
        grows.then(|| {
            let losses: Vec<String> =
                self.recent.iter().map(|(_, loss)| format!("{loss:.4}")).collect();
            warn(format!(
                "{} diverges from {} ({reference:.4}): {} in rounds {first_round} to \
                 {last_round}",
                self.what,
                self.against,
                losses.join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(losses: &[f64]) -> Trend {
        let mut trend = Trend::held_out();
        trend.against(2.0);
        for (round, loss) in losses.iter().enumerate() {
            trend.add(Round(round as u64), *loss);
        }
        trend
    }

    #[test]
    fn a_mean_that_moves_away_from_its_best_is_reported() {
        let condition = |means: &[f64]| {
            let mut trend = Trend::joint();
            for (round, mean) in means.iter().enumerate() {
                trend.best_or_next(Round(round as u64), *mean);
            }
            trend.condition()
        };
        for quiet in [
            &[][..],
            &[1.0, 0.8, 0.6],
            // It varies around its best.
            &[0.6, 0.605, 0.602, 0.607],
            // Worse than the best, and coming back.
            &[0.5, 0.7, 0.65, 0.6],
        ] {
            assert_eq!(condition(quiet), None, "{quiet:?}");
        }
        let worse = condition(&[1.0, 0.5, 0.55, 0.6, 0.7]).unwrap();
        assert_eq!(worse.name, "federation-loss-grows");
        assert!(worse.message.contains("0.5500, 0.6000, 0.7000"), "{}", worse.message);
    }

    #[test]
    fn a_loss_that_diverges_is_reported_and_one_that_varies_or_falls_is_not() {
        for quiet in [
            &[][..],
            &[1.9, 1.8, 1.7],
            // Worse than the base model at first, and improving.
            &[3.0, 2.8, 2.6],
            &[2.01, 2.02, 2.03],
            &[2.5, 1.9, 2.6],
            &[2.5, 2.6],
            &[2.5, 2.6, 2.7, 1.9],
        ] {
            assert_eq!(trend(quiet).condition(), None, "{quiet:?}");
        }
        let said = trend(&[1.9, 2.2, 2.9, 4.1]).condition().unwrap();
        assert_eq!((said.name.as_str(), said.severity), ("held-out-loss-grows", Severity::Warning));
        for part in ["base model's (2.0000)", "2.2000, 2.9000, 4.1000 in rounds 1 to 3"] {
            assert!(said.message.contains(part), "{}", said.message);
        }
        assert!(said.hint.unwrap().contains("learning rate"));
        assert!(trend(&[f64::NAN]).condition().unwrap().message.contains("not a finite number"));
        // A thousand rounds later only the newest count, and a round that is measured again counts
        // once.
        let mut long = trend(&vec![9.0; 1000]);
        long.add(Round(999), 1.0);
        assert_eq!(long.recent.len(), WINDOW);
        assert_eq!(long.condition(), None);
    }

    #[test]
    fn without_a_reference_nothing_is_reported() {
        let mut trend = Trend::training();
        for round in 0..5 {
            trend.add(Round(round), round as f64);
        }
        assert_eq!(trend.condition(), None);
        trend.against(1.0);
        assert!(trend.condition().unwrap().message.contains("training loss"));
    }
}
