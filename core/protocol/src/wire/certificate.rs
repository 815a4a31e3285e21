//! Quorum certificates: q votes of one kind for one value in one view.

use serde::{Deserialize, Serialize};

use crate::ids::{MemberIndex, Round, ValueDigest, View};
use crate::roster::Roster;
use crate::sign::Signature;
use crate::wire::{Body, Decision, Vote, VoteKind};

/// Votes without their envelopes; whoever checks one puts the votes together again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The decision.
    pub decision: Decision,
    /// Prevotes (a polka, which locks) or precommits (which decide).
    pub kind: VoteKind,
    /// The view.
    pub view: View,
    /// The digest of the value.
    pub value: ValueDigest,
    /// By member, ascending.
    pub votes: Vec<(MemberIndex, Signature)>,
}

impl Certificate {
    /// Whether a quorum of different members signed this vote in `round`, and nobody else is
    /// listed.
    #[must_use]
    pub fn is_valid(&self, roster: &Roster<'_>, round: Round) -> bool {
        let body = Body::Vote(Vote {
            decision: self.decision,
            kind: self.kind,
            view: self.view,
            value: Some(self.value),
        });
        self.votes.len() >= usize::from(roster.rules().quorum)
            && self.votes.is_sorted_by(|a, b| a.0 < b.0)
            && self
                .votes
                .iter()
                .all(|(member, sig)| roster.is_signed_by(round, *member, &body, sig))
    }
}
