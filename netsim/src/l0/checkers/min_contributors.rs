//! No decided set has fewer updates than the manifest asks for.

use fedshield_protocol::wire::Value;
use fedshield_protocol::wire::journal::Note;

use super::Fact;
use crate::l0::federation::Federation;

pub(super) struct MinContributors;

impl MinContributors {
    pub(super) fn observe(&self, federation: &Federation, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Noted(entry) = fact else { return Ok(()) };
        let Note::Decided(decided) = &entry.note else { return Ok(()) };
        let Value::Aggregate { set, .. } = &decided.value else { return Ok(()) };
        match set.len() < usize::from(federation.rules().min_contributors) {
            true => Err(format!("round {}: decided a set of {}", entry.round, set.len())),
            false => Ok(()),
        }
    }
}
