//! Proof of misbehaviour, which anybody can check with the manifest in hand.
//!
//! A proof holds all that its check needs, and nothing that the accused has not signed counts
//! against it, but for what at least one honest member must have signed as well (f + 1 rejections,
//! a quorum's certificate). So an honest member cannot be accused by up to f others, whatever they
//! sign. [`Evidence::check`] checks what this crate can compute; [`Proof::WrongOpening`] and
//! [`Proof::WrongAnswer`] need the arithmetic of the encryption as well, which the host brings.

mod answer;
mod equivocation;
mod file;
mod not_proof;
mod rejection;
mod words;

use serde::{Deserialize, Serialize};

pub use answer::{SignedAnswer, WrongAnswer};
pub use file::{EVIDENCE_FORMAT, EvidenceFile, EvidenceFileError};
pub use not_proof::NotProof;

use crate::ids::{CommitmentDigest, MemberIndex, Round};
use crate::ledger::OnlyVerify;
use crate::limits::MAX_EVIDENCE_BYTES;
use crate::manifest::ValidManifest;
use crate::roster::Roster;
use crate::sign::Signature;
use crate::wire::codec::{self, CodecError};
use crate::wire::{Body, CommitmentBody, Value, Vote};

/// A statement and the signature of its sender.
pub type SignedBody = (Body, Signature);

/// Proof that a member has done in a round what no honest member does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The accused member.
    pub member: MemberIndex,
    /// The round in which it misbehaved.
    pub round: Round,
    /// The proof.
    pub proof: Proof,
}

/// What can be proven. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// Two signed statements that no honest member makes both.
    Equivocation(Box<[SignedBody; 2]>),
    /// A signed proposal of a set below `min_contributors`, or the reports for one.
    SetTooSmall(Box<SignedBody>),
    /// A signed answer to a complaint that contradicts the contributor's signed commitment.
    WrongOpening {
        /// The contributor's commitment.
        commitment: Box<(CommitmentBody, Signature)>,
        /// The answer, a [`Body::ShareOpening`].
        answer: Box<SignedBody>,
    },
    /// A signed commitment whose ciphertext f + 1 members have rejected: one of them is honest.
    Rejected {
        /// The commitment.
        commitment: Box<(CommitmentBody, Signature)>,
        /// The signatures under [`Body::Rejection`], ascending by member.
        rejections: Vec<(MemberIndex, Signature)>,
    },
    /// A signed partial decryption that is off the polynomial of the others.
    WrongAnswer(Box<WrongAnswer>),
}

/// The rule that was broken: of each member and round one proof of each is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No two contradicting statements are signed in a round.
    Equivocation,
    /// A set has at least `min_contributors` updates.
    SetTooSmall,
    /// An opening matches the commitment.
    WrongOpening,
    /// A ciphertext has the form that the terms give it.
    MalformedCiphertext,
    /// Partial decryptions are the sum of this member's own shares.
    WrongAnswer,
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
        let [first, second] = [first, second].map(|(vote, sig)| (Body::Vote(vote), sig));
        Self::equivocation(member, round, first, second)
    }

    /// Two statements that no honest member makes both.
    #[must_use]
    pub fn equivocation(
        member: MemberIndex,
        round: Round,
        first: SignedBody,
        second: SignedBody,
    ) -> Self {
        Self { member, round, proof: Proof::Equivocation(Box::new([first, second])) }
    }

    /// A set that is too small, in what its proposer signed.
    #[must_use]
    pub fn too_small(member: MemberIndex, round: Round, statement: SignedBody) -> Self {
        Self { member, round, proof: Proof::SetTooSmall(Box::new(statement)) }
    }

    /// A wrong opening, with the contributor's commitment.
    #[must_use]
    pub fn wrong_opening(
        member: MemberIndex,
        round: Round,
        commitment: (CommitmentBody, Signature),
        answer: SignedBody,
    ) -> Self {
        let (commitment, answer) = (Box::new(commitment), Box::new(answer));
        Self { member, round, proof: Proof::WrongOpening { commitment, answer } }
    }

    /// A ciphertext that f + 1 members have rejected.
    #[must_use]
    pub fn rejected(
        contributor: MemberIndex,
        round: Round,
        commitment: (CommitmentBody, Signature),
        mut rejections: Vec<(MemberIndex, Signature)>,
    ) -> Self {
        rejections.sort_by_key(|(member, _)| *member);
        let commitment = Box::new(commitment);
        Self { member: contributor, round, proof: Proof::Rejected { commitment, rejections } }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("evidence", self, MAX_EVIDENCE_BYTES)
    }

    /// Reads evidence; check it with [`Self::check`].
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode("evidence", bytes, MAX_EVIDENCE_BYTES)
    }

    /// Which rule was broken.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match &self.proof {
            Proof::Equivocation(_) => Rule::Equivocation,
            Proof::SetTooSmall(_) => Rule::SetTooSmall,
            Proof::WrongOpening { .. } => Rule::WrongOpening,
            Proof::Rejected { .. } => Rule::MalformedCiphertext,
            Proof::WrongAnswer(_) => Rule::WrongAnswer,
        }
    }

    /// Checks everything but the arithmetic of [`Proof::WrongOpening`] and [`Proof::WrongAnswer`]:
    /// signatures, certificates and the rules of messages.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn check(&self, roster: &Roster<'_>) -> Result<(), NotProof> {
        if self.member.0 >= roster.rules().member_count {
            return Err(NotProof::NotAMember(self.member));
        }
        match &self.proof {
            Proof::Equivocation(statements) => self.check_equivocation(roster, statements),
            Proof::SetTooSmall(statement) => self.check_too_small(roster, statement),
            Proof::WrongOpening { commitment, answer } => {
                let digest = self.check_commitment(roster, commitment)?;
                self.check_signed(roster, answer)?;
                match &answer.0 {
                    Body::ShareOpening { commitment: about, .. } if *about == digest => Ok(()),
                    Body::ShareOpening { .. } => Err(NotProof::NotAbout("answer")),
                    _ => Err(NotProof::Impossible("answer")),
                }
            }
            Proof::Rejected { commitment, rejections } => {
                let digest = self.check_commitment(roster, commitment)?;
                rejection::check(roster, self.round, digest, rejections)
            }
            Proof::WrongAnswer(answer) => answer.check(roster, self.round, self.member),
        }
    }

    /// [`Self::check`] with the manifest alone.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn verify(&self, manifest: &ValidManifest) -> Result<(), NotProof> {
        self.check(&Roster::new(manifest, &OnlyVerify))
    }

    /// Checks that the accused has signed this commitment. Returns its digest.
    fn check_commitment(
        &self,
        roster: &Roster<'_>,
        (body, signature): &(CommitmentBody, Signature),
    ) -> Result<CommitmentDigest, NotProof> {
        let statement = Body::Commitment(Box::new(body.clone()));
        self.check_signed(roster, &(statement, *signature))?;
        let digest = roster.scope(self.round).commitment(self.member, body);
        digest.map_err(|_| NotProof::Impossible("commitment"))
    }

    /// Checks that the accused has signed this statement and that a message can hold it.
    fn check_signed(
        &self,
        roster: &Roster<'_>,
        (body, signature): &SignedBody,
    ) -> Result<(), NotProof> {
        if !body.is_within_bounds(roster.rules().member_count) {
            return Err(NotProof::Impossible(body.kind()));
        }
        if !roster.is_signed_by(self.round, self.member, body, signature) {
            return Err(NotProof::NotSigned { what: body.kind(), member: self.member });
        }
        Ok(())
    }

    fn check_equivocation(
        &self,
        roster: &Roster<'_>,
        [first, second]: &[SignedBody; 2],
    ) -> Result<(), NotProof> {
        self.check_signed(roster, first)?;
        self.check_signed(roster, second)?;
        if !equivocation::contradict(&first.0, &second.0) {
            return Err(NotProof::NoContradiction);
        }
        Ok(())
    }

    fn check_too_small(&self, roster: &Roster<'_>, statement: &SignedBody) -> Result<(), NotProof> {
        self.check_signed(roster, statement)?;
        let rules = roster.rules();
        let set = match &statement.0 {
            Body::ReportBundle { bundle, .. } => bundle.set(rules),
            Body::Proposal(proposal) => match &proposal.value {
                Value::Aggregate { set, .. } => set.clone(),
                _ => return Err(NotProof::NotTooSmall),
            },
            _ => return Err(NotProof::NotTooSmall),
        };
        match rules.check_set(self.member, &set) {
            Ok(()) => Err(NotProof::NotTooSmall),
            Err(_) => Ok(()),
        }
    }

    /// What the accused has signed, as far as it is in the proof.
    #[must_use]
    pub fn statements(&self) -> Vec<SignedBody> {
        let signed = |(body, by): &(CommitmentBody, Signature)| {
            (Body::Commitment(Box::new(body.clone())), *by)
        };
        match &self.proof {
            Proof::Equivocation(both) => both.to_vec(),
            Proof::SetTooSmall(one) => vec![one.as_ref().clone()],
            Proof::WrongOpening { commitment, answer } => {
                vec![answer.as_ref().clone(), signed(commitment)]
            }
            Proof::Rejected { commitment, .. } => vec![signed(commitment)],
            Proof::WrongAnswer(answer) => vec![answer.accused_statement()],
        }
    }
}
