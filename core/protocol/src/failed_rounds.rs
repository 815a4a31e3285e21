//! Failed rounds: a set was decided, but its sum was void or rejected. A contributor that makes
//! every sum with it fail cannot be identified as long as well-formed updates cannot be proven, and
//! excluding members on suspicion would let anybody compare sums with and without one member. So
//! the protocol reports failed rounds and leaves the rest to the operators.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::{MemberIndex, Round};
use crate::ledger::set_of;
use crate::limits::MAX_FAILED_ROUNDS;
use crate::wire::{Outcome, Record};

/// Why a decided sum was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// It could not be opened.
    Void,
    /// It was opened and out of range.
    Rejected,
}

/// One failed round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRound {
    /// Its number.
    pub round: Round,
    /// Why it failed.
    pub reason: FailureReason,
    /// Contributors of its sum, ascending.
    pub set: Vec<MemberIndex>,
}

/// The failed rounds since the last applied one; follows from the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRounds {
    /// Number of sums that could not be opened.
    pub voided: u64,
    /// Number of sums that were opened and out of range.
    pub rejected: u64,
    /// Contributors of every one of them, ascending.
    pub in_all: Vec<MemberIndex>,
    /// The last ones, at most [`MAX_FAILED_ROUNDS`], the oldest first.
    pub last: VecDeque<FailedRound>,
}

impl FailedRounds {
    /// Number of failed rounds.
    #[must_use]
    pub const fn rounds(&self) -> u64 {
        self.voided.saturating_add(self.rejected)
    }

    /// The next record of the ledger.
    pub(crate) fn note(&mut self, record: &Record) {
        let reason = match record.outcome {
            Outcome::Applied { .. } | Outcome::Measured { .. } => return *self = Self::default(),
            Outcome::Skipped => return,
            Outcome::Void { .. } => FailureReason::Void,
            Outcome::Rejected { .. } => FailureReason::Rejected,
        };
        let Some((set, _)) = set_of(&record.outcome) else { return };
        let set: Vec<MemberIndex> = set.contributors().collect();
        if self.rounds() == 0 {
            self.in_all.clone_from(&set);
        } else {
            self.in_all.retain(|member| set.contains(member));
        }
        let count = match reason {
            FailureReason::Void => &mut self.voided,
            FailureReason::Rejected => &mut self.rejected,
        };
        *count = count.saturating_add(1);
        if self.last.len() >= MAX_FAILED_ROUNDS {
            self.last.pop_front();
        }
        self.last.push_back(FailedRound { round: record.round, reason, set });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{
        Beacon, CommitmentDigest, Digest, Epoch, FederationId, ManifestDigest, RecordDigest,
        SumDigest,
    };
    use crate::object::ObjectRef;

    fn record(round: u64, outcome: Outcome) -> Record {
        Record {
            federation: FederationId([1; 32]),
            manifest: ManifestDigest([1; 32]),
            epoch: Epoch(0),
            round: Round(round),
            previous: RecordDigest([1; 32]),
            outcome,
            adapter: None,
            applied: 0,
            beacon: Beacon([1; 32]),
        }
    }

    fn outcome(end: Option<FailureReason>, members: &[u16]) -> Outcome {
        let aggregate = ObjectRef { root: Digest([2; 32]), length: 1 };
        let (update, sum) = (CommitmentDigest([2; 32]), SumDigest([2; 32]));
        let set = members.iter().map(|member| (MemberIndex(*member), update)).collect();
        match end {
            None => Outcome::Applied { set, aggregate, sum, measured: None, stops: false },
            Some(FailureReason::Void) => Outcome::Void { set, aggregate },
            Some(FailureReason::Rejected) => Outcome::Rejected { set, aggregate, sum },
        }
    }

    #[test]
    fn who_was_in_all_of_them_is_known_until_a_round_is_applied() {
        let mut known = FailedRounds::default();
        let ends = [
            (Some(FailureReason::Void), vec![0, 1, 2]),
            (Some(FailureReason::Rejected), vec![1, 2, 3]),
            (Some(FailureReason::Void), vec![0, 2, 1]),
        ];
        for (round, (end, members)) in (0..).zip(&ends) {
            known.note(&record(round * 2, outcome(*end, members)));
            known.note(&record(round * 2 + 1, Outcome::Skipped));
        }
        assert_eq!((known.voided, known.rejected, known.rounds()), (2, 1, 3));
        assert_eq!(known.in_all, [MemberIndex(1), MemberIndex(2)]);
        assert_eq!(known.last[1].round, Round(2));
        for round in 10..1000 {
            known.note(&record(round, outcome(Some(FailureReason::Void), &[2, 3])));
        }
        assert_eq!((known.voided, known.last.len()), (992, MAX_FAILED_ROUNDS));
        assert_eq!(known.in_all, [MemberIndex(2)]);
        known.note(&record(1000, outcome(None, &[2, 3])));
        assert_eq!(known, FailedRounds::default());
    }
}
