//! What is kept of the rounds that are over. The records are the host's: a federation may run for a
//! million rounds.

use crate::failed_rounds::FailedRounds;
use crate::ids::{MemberIndex, Round};
use crate::ledger::includes;
use crate::wire::{Outcome, Record};

const BITS: u64 = u64::BITS as u64;

/// What the machine asks about ended rounds, besides the end of the chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// One bit for each round: this member's own update was in the decided set. 125 KB for a
    /// million rounds.
    spent: Vec<u64>,
    /// The last round, if its sum was applied.
    pub(crate) applied_last: Option<Round>,
    /// The failed rounds since then.
    pub(crate) failed_rounds: FailedRounds,
}

impl Past {
    /// The next record of the chain, which has been checked; `me` is this member.
    pub(crate) fn note(&mut self, record: &Record, me: MemberIndex) {
        let round = record.round;
        self.applied_last = matches!(record.outcome, Outcome::Applied { .. }).then_some(round);
        self.failed_rounds.note(record);
        let Some((word, bit)) = place(round) else { return };
        // Rounds of a chain have no gaps, so this grows by one word at most.
        if word >= self.spent.len() {
            self.spent.resize(word.saturating_add(1), 0);
        }
        if includes(&record.outcome, me)
            && let Some(word) = self.spent.get_mut(word)
        {
            *word |= bit;
        }
    }

    /// Whether this member's own update was in the set that `round` decided.
    pub(crate) fn is_spent(&self, round: Round) -> bool {
        place(round).is_some_and(|(word, bit)| self.spent.get(word).is_some_and(|w| w & bit != 0))
    }
}

/// The word of a round and its bit there. Epoch 0 starts at round 0.
fn place(round: Round) -> Option<(usize, u64)> {
    Some((usize::try_from(round.0 / BITS).ok()?, 1 << (round.0 % BITS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{
        Beacon, CommitmentDigest, Digest, Epoch, FederationId, ManifestDigest, RecordDigest,
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

    #[test]
    fn spent_rounds_are_remembered_and_no_others() {
        let me = MemberIndex(2);
        let aggregate = ObjectRef { root: Digest([2; 32]), length: 1 };
        let mut past = Past::default();
        for round in 0..200 {
            let with_me = round % 3 == 0;
            let member = if with_me { me } else { MemberIndex(1) };
            let set = [(member, CommitmentDigest([3; 32]))].into_iter().collect();
            past.note(&record(round, Outcome::Void { set, aggregate }), me);
        }
        for round in 0..400 {
            assert_eq!(past.is_spent(Round(round)), round < 200 && round % 3 == 0, "{round}");
        }
        assert!(!past.is_spent(Round(u64::MAX)));
        past.note(&record(200, Outcome::Skipped), me);
        assert_eq!(past.applied_last, None);
    }
}
