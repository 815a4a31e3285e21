//! Rounds whose set was decided and whose sum came to nothing, since the last applied one. Whoever spoils every sum that it
//! is in cannot be named for it as long as well-formed updates cannot be proven, and no rule may leave anybody out on
//! suspicion: the difference of two sums shows who was missing in one. So all that can be done is said to people.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::{MemberIndex, Round};
use crate::ledger::set_of;
use crate::limits::MAX_FRUITLESS_ROUNDS;
use crate::wire::{Outcome, Record};

/// Why a decided sum came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Futility {
    /// It could not be opened.
    Void,
    /// It was opened and out of range.
    Rejected,
}

/// One such round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FruitlessRound {
    /// Which.
    pub round: Round,
    /// Why.
    pub end: Futility,
    /// Whose updates were in the sum.
    pub set: Vec<MemberIndex>,
}

/// All of them since the last applied round; follows from the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fruitless {
    /// How many could not be opened.
    pub voided: u64,
    /// How many were out of range.
    pub rejected: u64,
    /// Members whose updates were in all of them.
    pub in_all: Vec<MemberIndex>,
    /// The last ones, the oldest first.
    pub last: VecDeque<FruitlessRound>,
}

impl Fruitless {
    /// How many.
    #[must_use]
    pub const fn rounds(&self) -> u64 {
        self.voided.saturating_add(self.rejected)
    }

    /// The next record of the ledger.
    pub(crate) fn note(&mut self, record: &Record) {
        let end = match record.outcome {
            Outcome::Applied { .. } => return *self = Self::default(),
            Outcome::Skipped => return,
            Outcome::Void { .. } => Futility::Void,
            Outcome::Rejected { .. } => Futility::Rejected,
        };
        let Some((set, _)) = set_of(&record.outcome) else { return };
        let set: Vec<MemberIndex> = set.iter().map(|(member, _)| *member).collect();
        if self.rounds() == 0 {
            self.in_all.clone_from(&set);
        } else {
            self.in_all.retain(|member| set.contains(member));
        }
        let count = match end {
            Futility::Void => &mut self.voided,
            Futility::Rejected => &mut self.rejected,
        };
        *count = count.saturating_add(1);
        if self.last.len() >= MAX_FRUITLESS_ROUNDS {
            self.last.pop_front();
        }
        self.last.push_back(FruitlessRound { round: record.round, end, set });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Digest, Epoch};
    use crate::object::ObjectRef;

    fn record(round: u64, outcome: Outcome) -> Record {
        let digest = Digest([1; 32]);
        Record {
            federation: digest,
            manifest: digest,
            epoch: Epoch(0),
            round: Round(round),
            previous: digest,
            outcome,
            adapter: None,
            applied: 0,
            beacon: digest,
        }
    }

    fn outcome(end: Option<Futility>, members: &[u16]) -> Outcome {
        let digest = Digest([2; 32]);
        let aggregate = ObjectRef { root: digest, length: 1 };
        let set = members.iter().map(|member| (MemberIndex(*member), digest)).collect();
        match end {
            None => Outcome::Applied { set, aggregate, sum: digest },
            Some(Futility::Void) => Outcome::Void { set, aggregate },
            Some(Futility::Rejected) => Outcome::Rejected { set, aggregate, sum: digest },
        }
    }

    #[test]
    fn who_was_in_all_of_them_is_known_until_a_round_is_applied() {
        let mut known = Fruitless::default();
        let ends = [
            (Some(Futility::Void), vec![0, 1, 2]),
            (Some(Futility::Rejected), vec![1, 2, 3]),
            (Some(Futility::Void), vec![0, 2, 1]),
        ];
        for (round, (end, members)) in (0..).zip(&ends) {
            known.note(&record(round * 2, outcome(*end, members)));
            known.note(&record(round * 2 + 1, Outcome::Skipped));
        }
        assert_eq!((known.voided, known.rejected, known.rounds()), (2, 1, 3));
        assert_eq!(known.in_all, [MemberIndex(1), MemberIndex(2)]);
        assert_eq!(known.last[1].round, Round(2));
        for round in 10..1000 {
            known.note(&record(round, outcome(Some(Futility::Void), &[2, 3])));
        }
        assert_eq!((known.voided, known.last.len()), (992, MAX_FRUITLESS_ROUNDS));
        assert_eq!(known.in_all, [MemberIndex(2)]);
        known.note(&record(1000, outcome(None, &[2, 3])));
        assert_eq!(known, Fruitless::default());
    }
}
