//! The statements that bind their sender in a round: two different ones of a kind are evidence.

use serde::{Deserialize, Serialize};

use super::{Body, UpdateSet, Vote};
use crate::ids::{RecordDigest, SetDigest};
use crate::object::ObjectRef;
use crate::wire::CommitmentBody;

/// A message of a round, returned to its own sender. Proposals are not among them: a vote comes
/// with each, and they are large. A type of its own and not [`Body`], so that messages cannot be
/// nested in one another without end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// [`Body::Ready`].
    Ready,
    /// [`Body::Commitment`].
    Commitment(Box<CommitmentBody>),
    /// [`Body::Report`].
    Report(UpdateSet),
    /// [`Body::Attestation`].
    Attestation {
        /// Digest of the set.
        set: SetDigest,
        /// Its sum.
        aggregate: ObjectRef,
    },
    /// [`Body::Vote`].
    Vote(Vote),
    /// [`Body::Partial`].
    Partial {
        /// Digest of the set.
        set: SetDigest,
        /// The partial decryption.
        object: ObjectRef,
    },
    /// [`Body::RecordSignature`].
    RecordSignature(RecordDigest),
}

impl Statement {
    /// The message, as it was signed.
    #[must_use]
    pub fn body(&self) -> Body {
        match self.clone() {
            Self::Ready => Body::Ready,
            Self::Commitment(body) => Body::Commitment(body),
            Self::Report(set) => Body::Report(set),
            Self::Attestation { set, aggregate } => Body::Attestation { set, aggregate },
            Self::Vote(vote) => Body::Vote(vote),
            Self::Partial { set, object } => Body::Partial { set, object },
            Self::RecordSignature(digest) => Body::RecordSignature(digest),
        }
    }
}
