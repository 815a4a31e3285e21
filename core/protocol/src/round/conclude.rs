//! conclude: a second, small decision ends the round: Opened, which a voter supports only if its own combine gave the
//! same, or Void, valid after the decrypt timer or with q earlier prevotes.

use crate::agreement::Opinion;
use crate::machine::Machine;
use crate::message::{Decision, Value};
use crate::status::Phase;

impl Machine {
    /// Takes part once there is something to say; follows a decision in any case.
    pub(super) fn conclude(&mut self) -> Option<Phase> {
        if self.round.opened.is_some() || self.round.clock.decrypt_over || self.has_voted_on_end() {
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
        if self.round.clock.decrypt_over {
            opinion.valid.insert(void);
            opinion.candidate = Some(void);
        }
        if let Some((key, sum)) = self.round.opened {
            let value = Value::Opened { key, sum };
            let id = value.id();
            self.round.values.entry(id).or_insert(value);
            opinion.known.insert(id);
            opinion.valid.insert(id);
            opinion.candidate = Some(id);
        }
        opinion
    }
}
