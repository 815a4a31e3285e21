//! The kinds of messages.

use serde::{Deserialize, Serialize};

use super::{
    Accusation, CertifiedRecord, Collected, CommitmentBody, Complaint, Decided, Goodbye, Heartbeat,
    Nonce, Proposal, Set, SignedHeartbeat, Statement, Vote,
};
use crate::ids::{Digest, MemberIndex, Round, View};
use crate::object::ObjectRef;
use crate::sign::Signature;

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
