//! conclude: a second, small decision ends the round: Opened, which is valid by its content (the key opens the decided
//! aggregate to the sum, see `check_key`), or Void, valid after the decrypt timer for whoever has not opened the sum, and with
//! q earlier prevotes for all.

use crate::consensus::Opinion;
use crate::machine::Machine;
use crate::status::Phase;
use crate::wire::{Decision, Value};

impl Machine {
    /// Takes part once there is something to say, or others have begun: without its votes for none they might be kept in a
    /// view whose proposer has nothing to propose. Follows a decision in any case.
    pub(super) fn conclude(&mut self) -> Option<Phase> {
        let end_vote = &self.round.end_vote;
        if self.round.opened.is_some()
            || self.round.clock.decrypt_over
            || self.has_voted_on_end()
            || end_vote.is_under_way()
        {
            self.round.end_vote.start();
        }
        if !self.round.end_vote.is_settled() {
            self.deliberate(Decision::End);
        }
        let decided = self.decided_value(Decision::End)?;
        Some(match decided.value {
            Value::Opened { .. } => Phase::Apply,
            _ => Phase::Record,
        })
    }

    fn has_voted_on_end(&self) -> bool {
        self.round.end_vote.cast().next().is_some()
    }

    /// What this member thinks of values of the second decision.
    pub(super) fn end_opinion(&mut self) -> Opinion {
        let void = Value::Void.id();
        let mut opinion = Opinion { known: self.known_values(Decision::End), ..Opinion::default() };
        opinion.valid_if_backed.insert(void);
        // Whoever has opened the sum can show it to everyone, and does not give it up on its own.
        if self.round.clock.decrypt_over && self.round.opened.is_none() {
            opinion.valid.insert(void);
            opinion.candidate = Some(void);
        }
        if let Some((key, sum)) = self.round.opened {
            let value = Value::Opened { key, sum };
            let id = value.id();
            self.round.values.entry(id).or_insert(value);
            opinion.known.insert(id);
            opinion.candidate = Some(id);
        }
        let opens = |value: &Value| match value {
            Value::Opened { key, sum } => self.round.keys.opens(key) == Some(*sum),
            _ => false,
        };
        opinion.valid.extend(self.round.values.iter().filter(|(_, v)| opens(v)).map(|(id, _)| *id));
        opinion
    }
}
