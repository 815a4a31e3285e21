//! The training ends when a quorum of the contributors have stopped improving, as their commitments
//! in the decided set say, and never before: members that may be faulty neither end it by themselves
//! nor prolong it when all honest ones say so.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::wire::{Outcome, Scope};

use super::Fact;
use crate::l0::content::is_stalled;
use crate::l0::federation::Federation;
use crate::l0::node::Node;

#[derive(Default)]
pub(super) struct Stop {
    /// Who has made each commitment, and whether it says that its member has stopped improving.
    says: BTreeMap<CommitmentDigest, (MemberIndex, bool)>,
    /// The round whose record ended the training.
    ended: Option<Round>,
}

impl Stop {
    /// What a member has committed to; called for faulty members as well.
    pub(super) fn contributed(
        &mut self,
        scope: &Scope,
        node: &Node,
        (job, output): (&Job, &JobOutput),
    ) {
        let (Job::SealShares { round, .. }, JobOutput::Contribution(body)) = (job, output) else {
            return;
        };
        let says_so = is_stalled(*round) || node.fault.is_some();
        if let Ok(digest) = scope.commitment(node.member, body) {
            self.says.insert(digest, (node.member, says_so));
        }
    }

    pub(super) fn observe(
        &mut self,
        federation: &Federation,
        faulty: &[MemberIndex],
        fact: &Fact<'_>,
    ) -> Result<(), String> {
        let Fact::Recorded(certified) = fact else { return Ok(()) };
        let record = &certified.record;
        let Outcome::Applied { set, stops, .. } = &record.outcome else { return Ok(()) };
        let round = record.round;
        let known = set.commitments().filter_map(|digest| self.says.get(&digest));
        let stalled: Vec<MemberIndex> =
            known.filter(|(_, says_so)| *says_so).map(|(member, _)| *member).collect();
        let honest = stalled.iter().filter(|member| !faulty.contains(member)).count();
        let quorum = usize::from(federation.rules().quorum);
        let ended_before = self.ended.is_some_and(|ended| ended < round);
        if *stops {
            if honest == 0 {
                return Err(format!("round {round}: {stalled:?}, all faulty, ended the training"));
            }
            if stalled.len() < quorum {
                return Err(format!("round {round}: {stalled:?} ended the training, no quorum"));
            }
            if ended_before {
                return Err(format!("round {round} ended the training a second time"));
            }
            self.ended = Some(round);
        } else if honest >= quorum && self.ended.is_none() {
            return Err(format!("round {round}: a quorum says so, and the training goes on"));
        }
        Ok(())
    }
}
