//! No partial decryption is released and no sum opened without a certificate of a quorum for
//! exactly that set, and no sum is opened with fewer partial decryptions than the threshold, both
//! by the rules without a planted bug.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::Job;
use fedshield_protocol::roster::Roster;
use fedshield_protocol::wire::journal::Note;
use fedshield_protocol::wire::{UpdateSet, Value, VoteKind};

use super::Fact;
use crate::l0::federation::Federation;
use crate::l0::node::Node;

#[derive(Default)]
pub(super) struct Certificate {
    /// The decided set of a round, by the member that has its certificate.
    decided: BTreeMap<(MemberIndex, Round), UpdateSet>,
}

impl Certificate {
    pub(super) fn observe(
        &mut self,
        federation: &Federation,
        node: &Node,
        fact: &Fact<'_>,
    ) -> Result<(), String> {
        match fact {
            Fact::Noted(entry) => {
                let Note::Decided(decided) = &entry.note else { return Ok(()) };
                let signatures = federation.signatures(node.member);
                let roster = Roster::new(&federation.manifest, &signatures);
                let certificate = &decided.certificate;
                let valid = certificate.kind == VoteKind::Precommit
                    && certificate.decision == decided.value.decision()
                    && certificate.value == decided.value.id()
                    && certificate.is_valid(&roster, entry.round);
                if !valid {
                    return Err(format!("round {}: decided without a true quorum", entry.round));
                }
                if let Value::Aggregate { set, .. } = &decided.value {
                    self.decided.insert((node.member, entry.round), set.clone());
                }
                Ok(())
            }
            Fact::Started(Job::PartialDecrypt { round, set }) => {
                let set = set.iter().map(|included| (included.member, included.commitment));
                self.allowed(node.member, *round, &set.collect())
            }
            Fact::Started(Job::CheckKey { start, set, .. }) => {
                self.allowed(node.member, start.round, set)
            }
            Fact::Started(Job::Combine { start, set, partials, .. }) => {
                let threshold = usize::from(federation.rules().threshold);
                if partials.len() < threshold {
                    let count = partials.len();
                    return Err(format!("round {}: opens with {count} answers", start.round));
                }
                self.allowed(node.member, start.round, set)
            }
            _ => Ok(()),
        }
    }

    fn allowed(&self, member: MemberIndex, round: Round, set: &UpdateSet) -> Result<(), String> {
        match self.decided.get(&(member, round)) {
            Some(decided) if decided == set => Ok(()),
            Some(_) => Err(format!("round {round}: opens another set than the decided one")),
            None => Err(format!("round {round}: opens without a decision")),
        }
    }
}
