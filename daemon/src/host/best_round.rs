//! The adapter with which the members had the lowest mean of their losses so far. It is kept when its
//! rounds are over, so that every member that was there can export it.

use fedshield_protocol::ids::Round;
use fedshield_protocol::object::ObjectRef;

use crate::control::api::RoundReport;
use crate::store::{Ledger, StoreError};

/// The best adapter so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BestRound {
    /// The mean of loss over base loss.
    ratio: f64,
    /// `None` for the adapter before the first round, which is derived.
    adapter: Option<ObjectRef>,
}

impl BestRound {
    /// Of the rounds that have ended, oldest first.
    pub(super) fn recall(
        reports: &[RoundReport],
        ledger: &Ledger,
    ) -> Result<Option<Self>, StoreError> {
        let mut best = None;
        for mean in reports.iter().filter_map(|report| report.mean_loss) {
            let adapter = match mean.round.0.checked_sub(1) {
                Some(before) => ledger.record(Round(before))?.and_then(|it| it.record.adapter),
                None => None,
            };
            Self::note(&mut best, mean.ratio, adapter);
        }
        Ok(best)
    }

    /// A mean with this adapter; of equal ones the first is kept.
    pub(super) fn note(best: &mut Option<Self>, ratio: f64, adapter: Option<ObjectRef>) {
        if best.is_none_or(|best| ratio < best.ratio) {
            *best = Some(Self { ratio, adapter });
        }
    }

    /// The object to keep.
    pub(super) const fn adapter(&self) -> Option<ObjectRef> {
        self.adapter
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::Digest;

    use super::*;

    #[test]
    fn the_lowest_mean_wins_and_the_first_of_equal_ones() {
        let object = |byte| Some(ObjectRef { root: Digest([byte; 32]), length: 9 });
        let mut best = None;
        for (ratio, adapter, expected) in [
            (1.0, None, None),
            (0.8, object(1), object(1)),
            (0.9, object(2), object(1)),
            (0.8, object(3), object(1)),
            (0.5, object(4), object(4)),
        ] {
            BestRound::note(&mut best, ratio, adapter);
            assert_eq!(best.and_then(|best| best.adapter()), expected, "{ratio}");
        }
    }
}
