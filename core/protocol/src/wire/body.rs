//! The kinds of messages.

use serde::{Deserialize, Serialize};

use super::{
    Accusation, CommitmentBody, Complaint, Decided, Goodbye, Heartbeat, LedgerEntry, Nonce,
    Proposal, ReportBundle, SignedHeartbeat, Statement, UpdateSet, Vote,
};
use crate::ids::{CommitmentDigest, MemberIndex, RecordDigest, Round, SetDigest, View};
use crate::object::ObjectRef;
use crate::sign::Signature;

/// The content of a message. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Where the sender is and what it has; every few seconds. Others resend what it shows to lack.
    Heartbeat(Box<Heartbeat>),
    /// The sender's public sealing key for the envelope's round, an HPKE key in its own encoding.
    SealingKey(Vec<u8>),
    /// commit: digests and lengths of what the sender contributes to the round.
    Commitment(Box<CommitmentBody>),
    /// transfer: commitments whose ciphertext and sealed shares a committee member has completely.
    /// The list of one sender only grows.
    HaveUpdates(Vec<CommitmentDigest>),
    /// transfer: the sender has no valid share of a committed update.
    Complaint(Box<Complaint>),
    /// transfer: a contributor's answer to a complaint, in the clear.
    ShareOpening {
        /// The contributor's commitment.
        commitment: CommitmentDigest,
        /// The member whose share it is.
        member: MemberIndex,
        /// Salt, share and mask shares in the encoding of `fedshield-he`.
        opening: Vec<u8>,
    },
    /// transfer: the updates that have fully arrived at the sender. One for each member and round.
    Report(UpdateSet),
    /// aggregate: the proposer's q reports, to the committee.
    ReportBundle {
        /// The view for which the sender is the proposer.
        view: View,
        /// The reports with the signatures of their senders.
        bundle: ReportBundle,
    },
    /// aggregate: a committee member has added exactly this set. One for each member and set.
    Attestation {
        /// Digest of the set, see [`UpdateSet::digest`].
        set: SetDigest,
        /// The sum of its ciphertexts.
        aggregate: ObjectRef,
    },
    /// Either decision: a proposer's value.
    Proposal(Box<Proposal>),
    /// Either decision: a prevote or precommit.
    Vote(Vote),
    /// Either decision: the decided value with its certificate, for those who are late.
    Decided(Box<Decided>),
    /// decrypt: the sender's partial decryption can be fetched. One for each member and round.
    Partial {
        /// Digest of the decided set.
        set: SetDigest,
        /// The partial decryption.
        object: ObjectRef,
    },
    /// record: the digest of the round's record, which the envelope's signature certifies. One for
    /// each member and round.
    RecordSignature(RecordDigest),
    /// Asks for the commitments with these digests.
    GetCommitments(Vec<CommitmentDigest>),
    /// Asks for the records from this round on.
    RecordsRequest(Round),
    /// Consecutive entries of the ledger, as many as fit into a message.
    Records(Vec<LedgerEntry>),
    /// The sender takes part in this round. Precedes every other statement that binds it.
    Ready,
    /// The sender has just started and asks which of its statements in this round others have.
    RecoveryRequest(Nonce),
    /// Every statement of the asker in this round that the sender has received.
    RecoveryResponse {
        /// The nonce of the request.
        nonce: Nonce,
        /// With the asker's own signatures, so that nobody can invent a statement.
        statements: Vec<(Statement, Signature)>,
        /// The asker's newest heartbeat known to the sender, of any incarnation and round.
        heartbeat: Option<Box<SignedHeartbeat>>,
    },
    /// The sender takes no part until it announces that it is ready.
    Goodbye(Goodbye),
    /// Asks a member that has been silent for a heartbeat.
    Ping,
    /// transfer: a committee member has read the ciphertext of this commitment and found it
    /// malformed or in contradiction to the commitment. One for each commitment, never beside
    /// [`Body::HaveUpdates`] of the same.
    Rejection(CommitmentDigest),
    /// The sender has checked evidence against these members and serves it.
    Accusations(Vec<Accusation>),
    /// transfer: a contributor's first answer to a complaint: the share, sealed again.
    ResealedShare {
        /// The contributor's commitment.
        commitment: CommitmentDigest,
        /// The member whose share it is.
        member: MemberIndex,
        /// An HPKE ciphertext under the sealing key that the complaint names.
        sealed: Vec<u8>,
    },
}

impl Body {
    /// The kind's name for operators: in logs, in the reasons of dropped messages and in evidence.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Heartbeat(_) => "heartbeat",
            Self::SealingKey(_) => "sealing key",
            Self::Commitment(_) => "commitment",
            Self::HaveUpdates(_) => "have updates",
            Self::Complaint(_) => "complaint",
            Self::ShareOpening { .. } => "share opening",
            Self::Report(_) => "report",
            Self::ReportBundle { .. } => "report bundle",
            Self::Attestation { .. } => "attestation",
            Self::Proposal(_) => "proposal",
            Self::Vote(_) => "vote",
            Self::Decided(_) => "decided",
            Self::Partial { .. } => "partial",
            Self::RecordSignature(_) => "record signature",
            Self::GetCommitments(_) => "get commitments",
            Self::RecordsRequest(_) => "records request",
            Self::Records(_) => "records",
            Self::Ready => "ready",
            Self::RecoveryRequest(_) => "recovery request",
            Self::RecoveryResponse { .. } => "recovery response",
            Self::Goodbye(_) => "goodbye",
            Self::Ping => "ping",
            Self::Rejection(_) => "rejection",
            Self::Accusations(_) => "accusations",
            Self::ResealedShare { .. } => "resealed share",
        }
    }

    /// The kind's label under a signature. Stored evidence of earlier versions must verify, so the
    /// kinds that it can contain keep the label under which they were first signed.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::HaveUpdates(_) => "holds",
            Self::ShareOpening { .. } => "preimage",
            Self::ReportBundle { .. } => "collected",
            _ => self.kind(),
        }
    }
}
