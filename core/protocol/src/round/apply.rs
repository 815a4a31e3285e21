//! apply: the opened sum goes into the global adapter: the same arithmetic, bit for bit, at every member.

use crate::ids::Round;
use crate::job::{Applied, Job};
use crate::machine::{Machine, Tag};
use crate::status::Phase;
use crate::wire::{Decision, Value};

impl Machine {
    pub(super) fn apply(&mut self) -> Phase {
        if self.round.applied.is_some() || self.round.record.is_some() {
            return Phase::Record;
        }
        let decided = self.decided_value(Decision::Outcome).map(|decided| decided.value);
        let Some(Value::Opened { sum, .. }) = decided else { return Phase::Record };
        // A member that has not opened the sum yet opens it with the decided key; if the others are faster it gets the adapter.
        // It also answers if it has not: those that have the key may be gone.
        if let Some((set, _)) = self.round.decided.clone() {
            self.answer_decision(&set);
            self.serve_again(&set);
        }
        self.put_together();
        self.check_keys();
        self.prove_answers();
        if self.round.opened.is_some_and(|(_, opened)| opened == sum)
            && let Some((set, _)) = &self.round.decided
        {
            let (start, set) = (self.round.start, set.clone());
            self.start(Tag::Apply(self.round.number), Job::Apply { start, set, sum });
        }
        Phase::Apply
    }

    pub(crate) fn applied(&mut self, round: Round, applied: Applied) {
        if round == self.round.number {
            self.round.applied = Some(applied);
            return;
        }
        // The others finished the round first; their record says whether this is the right adapter.
        if applied.accepted && round.next() == self.round.number {
            self.held = Some(applied.adapter);
            if self.tip.adapter == self.held {
                self.hold(applied.adapter);
            }
        }
    }
}
