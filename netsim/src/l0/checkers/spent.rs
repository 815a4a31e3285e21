//! No update is in two decided sets.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round};
use fedshield_protocol::wire::journal::Note;
use fedshield_protocol::wire::{Scope, Value};

use super::Fact;
use crate::l0::content::{Content, Vector};
use crate::l0::node::Node;

#[derive(Default)]
pub(super) struct Spent {
    /// The plaintext vector behind each commitment of an honest member.
    vectors: BTreeMap<CommitmentDigest, Vector>,
    spent: BTreeMap<Vector, (Round, CommitmentDigest)>,
}

impl Spent {
    pub(super) fn observe(&mut self, node: &Node, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Noted(entry) = fact else { return Ok(()) };
        match &entry.note {
            Note::Committed(body) => {
                let Some(config) = node.machine.as_ref().map(|machine| machine.scope()) else {
                    return Ok(());
                };
                let scope = Scope { round: entry.round, ..config };
                let bytes = node.disk.objects.get(&body.ciphertext);
                if let (Ok(digest), Some(Content::Ciphertext { vector, .. })) =
                    (scope.commitment(node.member, body), bytes.and_then(|b| Content::read(b)))
                {
                    self.vectors.insert(digest, vector);
                }
                Ok(())
            }
            Note::Decided(decided) => match &decided.value {
                Value::Aggregate { set, .. } => self.spend(entry.round, set),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn spend(
        &mut self,
        round: Round,
        set: &[(MemberIndex, CommitmentDigest)],
    ) -> Result<(), String> {
        for (member, commitment) in set {
            let Some(vector) = self.vectors.get(commitment) else { continue };
            let first = *self.spent.entry(*vector).or_insert((round, *commitment));
            if first != (round, *commitment) {
                return Err(format!(
                    "the update {} of member {member} is in the sets of rounds {} and {round}",
                    vector.number, first.0
                ));
            }
        }
        Ok(())
    }
}
