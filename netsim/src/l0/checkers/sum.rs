//! The opened sum is the sum over U: of the vectors in the ciphertexts of the decided commitments.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{CommitmentDigest, MemberIndex};
use fedshield_protocol::job::{Combined, Job, JobOutput};
use fedshield_protocol::wire::Scope;

use super::Fact;
use crate::l0::byzantine::set_flooding::commitment_for;
use crate::l0::content::{Content, Vector, sum_of};
use crate::l0::faults::Fault;
use crate::l0::node::Node;

#[derive(Default)]
pub(super) struct Sum {
    /// The plaintext vector behind each commitment.
    vectors: BTreeMap<CommitmentDigest, Vector>,
}

impl Sum {
    /// Records the vector in a ciphertext; called for faulty members as well.
    pub(super) fn contributed(&mut self, scope: &Scope, node: &Node, output: &JobOutput) {
        let JobOutput::Contribution(body) = output else { return };
        let bytes = node.disk.objects.get(&body.ciphertext);
        let Some(Content::Ciphertext { vector, .. }) = bytes.and_then(|b| Content::read(b)) else {
            return;
        };
        let mut bodies = vec![body.clone()];
        if node.fault == Some(Fault::FloodsSets) {
            let receivers = (0..body.sealed_shares.len() as u16).map(MemberIndex);
            bodies.extend(receivers.map(|receiver| commitment_for(receiver, body)));
        }
        let digests = bodies.iter().filter_map(|body| scope.commitment(node.member, body).ok());
        self.vectors.extend(digests.map(|digest| (digest, vector)));
    }

    pub(super) fn observe(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Ended(Job::Combine { start, set, .. } | Job::CheckKey { start, set, .. }, output) =
            fact
        else {
            return Ok(());
        };
        let (JobOutput::Combined(Combined::Opened { sum, .. })
        | JobOutput::KeyChecked { sum: Some(sum) }) = output
        else {
            return Ok(());
        };
        let vectors: Option<Vec<Vector>> =
            set.iter().map(|(_, commitment)| self.vectors.get(commitment).copied()).collect();
        match vectors.map(|vectors| sum_of(&vectors)) {
            Some(expected) if expected == *sum => Ok(()),
            Some(_) => Err(format!("round {}: opened something else than the sum", start.round)),
            None => Err(format!("round {}: opened what nobody encrypted", start.round)),
        }
    }
}
