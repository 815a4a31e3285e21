//! The two small decisions of a round: values, proposals, votes.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{ReportBundle, UpdateSet};
use crate::hash::Use;
use crate::ids::{KeyDigest, MemberIndex, SumDigest, ValueDigest, View};
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::Certificate;

static SKIP: LazyLock<ValueDigest> = LazyLock::new(|| value_digest(&[b"skip"]));
static VOID: LazyLock<ValueDigest> = LazyLock::new(|| value_digest(&[b"void"]));

fn value_digest(parts: &[&[u8]]) -> ValueDigest {
    ValueDigest(Use::Value.digest(parts).0)
}

/// The two decisions of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// Which set of updates is opened, if any.
    Set,
    /// What opening the set's sum gave.
    Outcome,
}

/// What can be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Set: open the sum of exactly these.
    Aggregate {
        /// The decided set, U.
        set: UpdateSet,
        /// The sum of its ciphertexts.
        aggregate: ObjectRef,
    },
    /// Set: open nothing this round.
    Skip,
    /// Outcome: the sum was opened. Anyone who has the aggregate can see whether the key opens it
    /// to this sum.
    Opened {
        /// The key K.
        key: ObjectRef,
        /// Digest of the opened sum.
        sum: SumDigest,
    },
    /// Outcome: the sum could not be opened.
    Void,
}

impl Value {
    /// The decision that this is a value of.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        match self {
            Self::Aggregate { .. } | Self::Skip => Decision::Set,
            Self::Opened { .. } | Self::Void => Decision::Outcome,
        }
    }

    /// The digest that members vote on.
    #[must_use]
    pub fn id(&self) -> ValueDigest {
        match self {
            Self::Aggregate { set, aggregate } => value_digest(&[
                b"aggregate",
                set.digest().as_bytes(),
                aggregate.root.as_bytes(),
                &aggregate.length.to_le_bytes(),
            ]),
            Self::Skip => *SKIP,
            Self::Opened { key, sum } => Self::opened_id(&Self::key_name(key), sum),
            Self::Void => *VOID,
        }
    }

    /// The digest that members vote on for an opened sum: of the key's name and the sum.
    #[must_use]
    pub fn opened_id(key_name: &KeyDigest, sum: &SumDigest) -> ValueDigest {
        value_digest(&[b"opened", key_name.as_bytes(), sum.as_bytes()])
    }

    /// A digest of root and length of a key: what records keep of it, so that their certificates
    /// can be checked. In records of the first version another digest of the key is in that place.
    #[must_use]
    pub fn key_name(key: &ObjectRef) -> KeyDigest {
        // No key has no bytes: this is one of the first version, out of a journal
        // (`journal::first_version`).
        if key.length == 0 {
            return KeyDigest(key.root.0);
        }
        let parts = [b"key".as_slice(), key.root.as_bytes(), &key.length.to_le_bytes()];
        KeyDigest(Use::Value.digest(&parts).0)
    }
}

/// First or second vote of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VoteKind {
    /// The voter finds the proposal valid.
    Prevote,
    /// The voter saw a quorum of prevotes and is locked.
    Precommit,
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The decision.
    pub decision: Decision,
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The view.
    pub view: View,
    /// The digest of the value; `None` is a vote for nil.
    pub value: Option<ValueDigest>,
}

/// What makes a proposed aggregate valid for every voter, whatever the voter has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Justification {
    /// q reports from which U follows.
    pub bundle: ReportBundle,
    /// f + 1 equal attestations, ascending by committee member.
    pub attestations: Vec<(MemberIndex, Signature)>,
}

/// A proposer's value for one view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The view.
    pub view: View,
    /// The value; it names its decision.
    pub value: Value,
    /// A quorum of prevotes for this value in an earlier view.
    pub polka: Option<Certificate>,
    /// Needed for an aggregate without a polka.
    pub justification: Option<Justification>,
}

/// A decision and the quorum of precommits that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What was decided.
    pub value: Value,
    /// The precommits.
    pub certificate: Certificate,
}
