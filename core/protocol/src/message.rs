//! What members say to one another: a version byte, one canonical bounded encoding, one signature.
//!
//! A signature covers (federation, epoch, round, sender, kind, body), so that nothing said in one place can be replayed
//! in another. Certificates and collected reports carry signatures without their envelopes: whoever checks them puts
//! the body together again.

mod accusation;
mod bits;
mod collected;
mod complaint;
mod goodbye;
mod heartbeat;
mod shape;
mod statement;
mod vote;

use serde::{Deserialize, Serialize};

pub use accusation::Accusation;
pub use bits::Bits;
pub use collected::{Collected, CollectedReport, SignedReport};
pub use complaint::{Complaint, Plea};
pub use goodbye::{Goodbye, Leave};
pub use heartbeat::{Heartbeat, Known, SignedHeartbeat};
pub use statement::Statement;
pub use vote::{Decided, Decision, Grounds, Proposal, Value, Vote, VoteKind};

use crate::codec::{self, CodecError};
use crate::event::Nonce;
use crate::hash::Use;
use crate::ids::{Digest, Epoch, MemberIndex, Round, View};
use crate::job::CommitmentBody;
use crate::limits::MAX_DIRECT_BYTES;
use crate::object::ObjectRef;
use crate::record::CertifiedRecord;
use crate::sign::Signature;

/// The first byte of every message.
pub const VERSION: u8 = 2;

/// Bytes of a signature, the last of every message.
const SIGNATURE_BYTES: usize = 64;

/// Updates by author and commitment digest, ascending by author, one for each: U, or a part of it.
pub type Set = Vec<(MemberIndex, Digest)>;

/// The content of a message. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Where the sender is and what it has; every few seconds. What others see it lacks they send again.
    Status(Box<Heartbeat>),
    /// The sender's public sealing key for the envelope's round.
    SealingKey(Vec<u8>),
    /// commit: what the sender binds itself to.
    Commitment(Box<CommitmentBody>),
    /// transfer: a committee member has these updates whole, every sealed box included. Grows, never shrinks.
    Holds(Vec<Digest>),
    /// transfer: the sender has no valid share in a commitment.
    Complaint(Box<Complaint>),
    /// transfer: the dealer's answer to a complaint, in clear.
    Preimage {
        /// The dealer's commitment.
        commitment: Digest,
        /// Whose share.
        member: MemberIndex,
        /// Salt, share and mask shares, opaque here.
        preimage: Vec<u8>,
    },
    /// report: the updates that the sender vouches for. One for each member and round.
    Report(Set),
    /// aggregate: the proposer's q reports, to the committee.
    Collected {
        /// The view it proposes in.
        view: View,
        /// The reports.
        collected: Collected,
    },
    /// aggregate: a committee member has added exactly this set.
    Attestation {
        /// Digest of the set, see [`set_digest`].
        set: Digest,
        /// The sum of its ciphertexts.
        aggregate: ObjectRef,
    },
    /// certify, conclude: a proposer's value.
    Proposal(Box<Proposal>),
    /// certify, conclude: a vote.
    Vote(Vote),
    /// certify, conclude: a decision with its certificate, for those who are late.
    Decided(Box<Decided>),
    /// decrypt: the sender's partial decryption can be fetched. One for each member and round.
    Partial {
        /// Digest of the decided set.
        set: Digest,
        /// The partial decryption.
        object: ObjectRef,
    },
    /// record: the sender's signature of this record is the envelope's. One for each member and round.
    RecordSignature(Digest),
    /// Asks for the commitments with these digests.
    Want(Vec<Digest>),
    /// Asks for the records from this round on.
    RecordsRequest(Round),
    /// Records in order, as many as fit.
    Records(Vec<CertifiedRecord>),
    /// The sender takes part in this round. Comes before everything else that binds it.
    Ready,
    /// The sender has just started: what has it said in this round before?
    Doubt(Nonce),
    /// Everything that the asker has said in this round, as far as the sender has heard it.
    Memory {
        /// Of the question.
        nonce: Nonce,
        /// With the asker's signatures: nobody can make up what it never said.
        said: Vec<(Statement, Signature)>,
        /// The asker's newest heartbeat that the sender has heard, of whichever life and round.
        heartbeat: Option<Box<SignedHeartbeat>>,
    },
    /// The sender takes no part until it says that it is ready.
    Goodbye(Goodbye),
    /// Nothing has been heard of the receiver for a while: is it there?
    Knock,
    /// transfer: a committee member has read the ciphertext of this commitment, and it is none, or does not fit what the
    /// commitment publishes. One for each commitment, never beside [`Body::Holds`] of the same.
    Rejection(Digest),
    /// There is proof against these members.
    Accusations(Vec<Accusation>),
    /// transfer: the dealer's first answer to a complaint: a box, sealed again.
    Sealed {
        /// The dealer's commitment.
        commitment: Digest,
        /// For whom.
        member: MemberIndex,
        /// Sealed to the key in the complaint, opaque here.
        sealed: Vec<u8>,
    },
}

impl Body {
    /// The kind's name, part of what is signed.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::SealingKey(_) => "sealing key",
            Self::Commitment(_) => "commitment",
            Self::Holds(_) => "holds",
            Self::Complaint(_) => "complaint",
            Self::Preimage { .. } => "preimage",
            Self::Report(_) => "report",
            Self::Collected { .. } => "collected",
            Self::Attestation { .. } => "attestation",
            Self::Proposal(_) => "proposal",
            Self::Vote(_) => "vote",
            Self::Decided(_) => "decided",
            Self::Partial { .. } => "partial",
            Self::RecordSignature(_) => "record signature",
            Self::Want(_) => "want",
            Self::RecordsRequest(_) => "records request",
            Self::Records(_) => "records",
            Self::Ready => "ready",
            Self::Doubt(_) => "doubt",
            Self::Memory { .. } => "memory",
            Self::Goodbye(_) => "goodbye",
            Self::Knock => "knock",
            Self::Rejection(_) => "rejection",
            Self::Accusations(_) => "accusations",
            Self::Sealed { .. } => "sealed share",
        }
    }
}

/// Where a signature belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The federation id.
    pub federation: Digest,
    /// The epoch.
    pub epoch: Epoch,
    /// The round.
    pub round: Round,
}

impl Scope {
    /// What `sender` signs to say `body` here.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn digest(&self, sender: MemberIndex, body: &Body) -> Result<Digest, CodecError> {
        let bytes = codec::encode(body.kind(), body, MAX_DIRECT_BYTES)?;
        Ok(self.with_parts(sender, body.kind(), &bytes, |parts| Use::Signature.digest(parts)))
    }

    /// Gives what is signed when `sender` says here what the canonical bytes of a body say.
    pub(crate) fn with_parts(
        &self,
        sender: MemberIndex,
        kind: &str,
        body: &[u8],
        digest: impl FnOnce(&[&[u8]]) -> Digest,
    ) -> Digest {
        digest(&[
            self.federation.as_bytes(),
            &self.epoch.0.to_le_bytes(),
            &self.round.0.to_le_bytes(),
            &sender.0.to_le_bytes(),
            kind.as_bytes(),
            body,
        ])
    }

    /// The digest by which a commitment is known: of its body, author and place.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn commitment(
        &self,
        author: MemberIndex,
        body: &CommitmentBody,
    ) -> Result<Digest, CodecError> {
        let bytes = codec::encode("commitment", body, MAX_DIRECT_BYTES)?;
        Ok(Use::Commitment.digest(&[
            self.federation.as_bytes(),
            &self.epoch.0.to_le_bytes(),
            &self.round.0.to_le_bytes(),
            &author.0.to_le_bytes(),
            &bytes,
        ]))
    }
}

/// The digest of a set of updates.
#[must_use]
pub fn set_digest(set: &[(MemberIndex, Digest)]) -> Digest {
    let mut hasher = Use::Set.hasher();
    hasher.update(&(set.len() as u64).to_le_bytes());
    for (member, commitment) in set {
        hasher.update(&member.0.to_le_bytes());
        hasher.update(commitment.as_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}

/// A message with its signature; unchecked until a [`crate::roster::Roster`] has verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    version: u8,
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The sender's round.
    pub round: Round,
    /// Who says it.
    pub sender: MemberIndex,
    /// What it says.
    pub body: Body,
    /// The sender's signature.
    pub signature: Signature,
}

impl Signed {
    /// Puts a message together.
    #[must_use]
    pub const fn new(scope: Scope, sender: MemberIndex, body: Body, signature: Signature) -> Self {
        Self { version: VERSION, epoch: scope.epoch, round: scope.round, sender, body, signature }
    }

    /// The canonical bytes of the body within those of the message.
    pub(crate) fn body_bytes<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        let head = (self.version, self.epoch, self.round, self.sender);
        let head = postcard::experimental::serialized_size(&head).ok()?;
        message.get(head..)?.split_last_chunk::<SIGNATURE_BYTES>().map(|(body, _)| body)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] over the limit for direct messages.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("message", self, MAX_DIRECT_BYTES)
    }

    /// Reads canonical bytes of this version.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.first() != Some(&VERSION) {
            let reason = format!("version {:?}, not {VERSION}", bytes.first());
            return Err(CodecError::Malformed { what: "message", reason });
        }
        codec::decode("message", bytes, MAX_DIRECT_BYTES)
    }
}
