//! One decision per round: all honest members decide the same set, the same outcome, the same
//! record.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{RecordDigest, Round, ValueDigest};
use fedshield_protocol::ledger::record_digest;
use fedshield_protocol::wire::Decision;
use fedshield_protocol::wire::journal::Note;

use super::Fact;

#[derive(Default)]
pub(super) struct Agreement {
    decisions: BTreeMap<(Round, Decision), ValueDigest>,
    records: BTreeMap<Round, RecordDigest>,
}

impl Agreement {
    pub(super) fn observe(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Noted(entry) => {
                let Note::Decided(decided) = &entry.note else { return Ok(()) };
                let key = (entry.round, decided.value.decision());
                let first = *self.decisions.entry(key).or_insert(decided.value.id());
                match first == decided.value.id() {
                    true => Ok(()),
                    false => Err(format!("round {}: another {:?} decision", entry.round, key.1)),
                }
            }
            Fact::Recorded(certified) => {
                let digest = record_digest(&certified.record);
                let round = certified.record.round;
                match *self.records.entry(round).or_insert(digest) == digest {
                    true => Ok(()),
                    false => Err(format!("round {round}: another record")),
                }
            }
            _ => Ok(()),
        }
    }
}
