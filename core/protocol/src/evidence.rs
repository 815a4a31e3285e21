//! Proof of misbehaviour: two signed statements that no honest member makes both.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::ids::{MemberIndex, Round};
use crate::job::CommitmentBody;
use crate::limits::MAX_DIRECT_BYTES;
use crate::message::{Body, Vote};
use crate::roster::Roster;
use crate::sign::Signature;

/// Two statements of one member in one round, or one that others have computed to be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Whose.
    pub member: MemberIndex,
    /// In which round.
    pub round: Round,
    /// The statements with their signatures.
    pub statements: Vec<(Body, Signature)>,
    /// Committee members' signatures that reject the commitment among the statements.
    pub rejections: Vec<(MemberIndex, Signature)>,
}

impl Evidence {
    /// Two conflicting votes.
    #[must_use]
    pub fn votes(
        member: MemberIndex,
        round: Round,
        first: (Vote, Signature),
        second: (Vote, Signature),
    ) -> Self {
        let statements = [first, second].map(|(vote, sig)| (Body::Vote(vote), sig)).to_vec();
        Self { member, round, statements, rejections: Vec::new() }
    }

    /// An update that f + 1 committee members could not read, one of them honest: the author's commitment, then their
    /// rejections of it.
    #[must_use]
    pub fn rejected(
        author: MemberIndex,
        round: Round,
        commitment: (CommitmentBody, Signature),
        rejections: Vec<(MemberIndex, Signature)>,
    ) -> Self {
        let (body, signature) = commitment;
        let statements = vec![(Body::Commitment(Box::new(body)), signature)];
        Self { member: author, round, statements, rejections }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("evidence", self, 2 * MAX_DIRECT_BYTES)
    }

    /// Reads evidence; check it with [`Self::is_signed`].
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode("evidence", bytes, 2 * MAX_DIRECT_BYTES)
    }

    /// Whether the member signed every statement.
    #[must_use]
    pub fn is_signed(&self, roster: &Roster<'_>) -> bool {
        !self.statements.is_empty()
            && self
                .statements
                .iter()
                .all(|(body, sig)| roster.is_said(self.round, self.member, body, sig))
    }

    /// Whether more members than can lie reject the commitment that the member signed: anyone can check this kind.
    #[must_use]
    pub fn is_rejection(&self, roster: &Roster<'_>) -> bool {
        let [(Body::Commitment(body), _)] = self.statements.as_slice() else { return false };
        let Ok(digest) = roster.scope(self.round).commitment(self.member, body) else {
            return false;
        };
        let rejection = Body::Rejection(digest);
        self.rejections.len() >= usize::from(roster.rules().one_honest())
            && self.rejections.is_sorted_by(|a, b| a.0 < b.0)
            && self
                .rejections
                .iter()
                .all(|(by, signature)| roster.is_said(self.round, *by, &rejection, signature))
    }

    /// Whether the statements contradict each other by themselves: anyone can check this kind.
    #[must_use]
    pub fn is_equivocation(&self) -> bool {
        let [(first, _), (second, _)] = self.statements.as_slice() else { return false };
        first != second
            && match (first, second) {
                (Body::Vote(a), Body::Vote(b)) => {
                    (a.decision, a.kind, a.view) == (b.decision, b.kind, b.view)
                }
                (Body::Proposal(a), Body::Proposal(b)) => {
                    (a.view, a.value.decision()) == (b.view, b.value.decision())
                        && a.value != b.value
                }
                (Body::Attestation { set: a, .. }, Body::Attestation { set: b, .. }) => a == b,
                (
                    Body::Preimage { commitment: a, member: of_a, .. },
                    Body::Preimage { commitment: b, member: of_b, .. },
                ) => (a, of_a) == (b, of_b),
                (Body::Holds(list), Body::Rejection(rejected))
                | (Body::Rejection(rejected), Body::Holds(list)) => list.contains(rejected),
                (Body::Commitment(_), Body::Commitment(_))
                | (Body::Report(_), Body::Report(_))
                | (Body::Partial { .. }, Body::Partial { .. })
                | (Body::RecordSignature(_), Body::RecordSignature(_)) => true,
                _ => false,
            }
    }
}
