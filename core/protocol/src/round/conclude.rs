//! conclude: a second, small decision ends the round: Opened, which is valid by its content (the key opens the decided
//! aggregate to the sum, see `check_key`), or Void, valid after the decrypt timer for whoever has not opened the sum, and with
//! q earlier prevotes for all.

use crate::consensus::ValueValidity;
use crate::machine::Machine;
use crate::status::Phase;
use crate::wire::{Decision, Value};

impl Machine {
    /// Takes part once there is something to say, or others have begun: without its votes for none they might be kept in a
    /// view whose proposer has nothing to propose. Follows a decision in any case.
    pub(super) fn conclude(&mut self) -> Option<Phase> {
        let outcome_vote = &self.round.outcome_vote;
        if self.round.opened.is_some()
            || self.round.clock.decrypt_over
            || self.has_voted_on_end()
            || outcome_vote.is_under_way()
        {
            self.round.outcome_vote.start();
        }
        if !self.round.outcome_vote.is_settled() {
            self.deliberate(Decision::Outcome);
        }
        let decided = self.decided_value(Decision::Outcome)?;
        Some(match decided.value {
            Value::Opened { .. } => Phase::Apply,
            _ => Phase::Record,
        })
    }

    fn has_voted_on_end(&self) -> bool {
        self.round.outcome_vote.cast().next().is_some()
    }

    /// What this member thinks of values of the second decision.
    pub(super) fn outcome_validity(&mut self) -> ValueValidity {
        let void = Value::Void.id();
        let mut validity = ValueValidity {
            known: self.known_values(Decision::Outcome),
            ..ValueValidity::default()
        };
        validity.valid_with_polka.insert(void);
        // Whoever has opened the sum can show it to everyone, and does not give it up on its own.
        if self.round.clock.decrypt_over && self.round.opened.is_none() {
            validity.valid.insert(void);
            validity.candidate = Some(void);
        }
        if let Some((key, sum)) = self.round.opened {
            let value = Value::Opened { key, sum };
            let id = value.id();
            self.round.values.entry(id).or_insert(value);
            validity.known.insert(id);
            validity.candidate = Some(id);
        }
        let opens = |value: &Value| match value {
            Value::Opened { key, sum } => self.round.keys.opens(key) == Some(*sum),
            _ => false,
        };
        validity
            .valid
            .extend(self.round.values.iter().filter(|(_, v)| opens(v)).map(|(id, _)| *id));
        validity
    }
}
