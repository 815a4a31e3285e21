//! What the ledger consists of: today one record a round, signed by a quorum. Its verification is
//! in [`ledger`](crate::ledger).

use serde::{Deserialize, Serialize};

use crate::ids::{
    Beacon, Epoch, FederationId, ManifestDigest, MemberIndex, RecordDigest, Round, SumDigest,
};
use crate::object::ObjectRef;
use crate::wire::{Measured, UpdateSet};

/// How a round ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OutcomeForm", into = "OutcomeForm")]
pub enum Outcome {
    /// The sum was opened and applied.
    Applied {
        /// The updates in U.
        set: UpdateSet,
        /// The certified aggregate.
        aggregate: ObjectRef,
        /// Digest of the opened sum.
        sum: SumDigest,
        /// What the members measured of the adapter that the round started from; `None` where they
        /// do not measure, where too few did, and where the slots were out of range.
        measured: Option<Measured>,
        /// A quorum of the contributors have stopped improving: the learning rate falls from here
        /// on, and the training ends.
        stops: bool,
    },
    /// The sum was opened and failed the range check; nobody applied it.
    Rejected {
        /// The updates in U.
        set: UpdateSet,
        /// The certified aggregate.
        aggregate: ObjectRef,
        /// Digest of the opened sum.
        sum: SumDigest,
    },
    /// U was decided, the sum could not be opened.
    Void {
        /// The updates in U, spent all the same.
        set: UpdateSet,
        /// The certified aggregate.
        aggregate: ObjectRef,
    },
    /// Nothing was decided to be opened.
    Skipped,
    /// The round after the last applied one: the sum was opened and held measurements alone, of the
    /// final adapter.
    Measured {
        /// The updates in U, which change nothing.
        set: UpdateSet,
        /// The certified aggregate.
        aggregate: ObjectRef,
        /// Digest of the opened sum.
        sum: SumDigest,
        /// As of [`Self::Applied`].
        measured: Option<Measured>,
    },
}

impl Outcome {
    /// What the members measured together of the adapter that the round started from.
    #[must_use]
    pub const fn measured(&self) -> Option<&Measured> {
        match self {
            Self::Applied { measured, .. } | Self::Measured { measured, .. } => measured.as_ref(),
            Self::Rejected { .. } | Self::Void { .. } | Self::Skipped => None,
        }
    }

    /// The version of the record's bytes: 1, and 2 of those that earlier programs do not know.
    #[must_use]
    pub const fn record_version(&self) -> u32 {
        match self {
            Self::Applied { measured: Some(_), .. }
            | Self::Applied { stops: true, .. }
            | Self::Measured { .. } => 2,
            Self::Applied { measured: None, stops: false, .. }
            | Self::Rejected { .. }
            | Self::Void { .. }
            | Self::Skipped => 1,
        }
    }

    /// Whether the members end the training with it.
    #[must_use]
    pub const fn stops(&self) -> bool {
        matches!(self, Self::Applied { stops: true, .. })
    }
}

/// The bytes of an outcome. The first four are those of the first version; an applied round without
/// a measurement that does not end the training has its bytes there, so that earlier ledgers verify
/// as they are.
#[derive(Serialize, Deserialize)]
enum OutcomeForm {
    Applied {
        set: UpdateSet,
        aggregate: ObjectRef,
        sum: SumDigest,
    },
    Rejected {
        set: UpdateSet,
        aggregate: ObjectRef,
        sum: SumDigest,
    },
    Void {
        set: UpdateSet,
        aggregate: ObjectRef,
    },
    Skipped,
    AppliedAndMeasured {
        set: UpdateSet,
        aggregate: ObjectRef,
        sum: SumDigest,
        measured: Option<Measured>,
        stops: bool,
    },
    Measured {
        set: UpdateSet,
        aggregate: ObjectRef,
        sum: SumDigest,
        measured: Option<Measured>,
    },
}

impl From<Outcome> for OutcomeForm {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied { set, aggregate, sum, measured: None, stops: false } => {
                Self::Applied { set, aggregate, sum }
            }
            Outcome::Applied { set, aggregate, sum, measured, stops } => {
                Self::AppliedAndMeasured { set, aggregate, sum, measured, stops }
            }
            Outcome::Rejected { set, aggregate, sum } => Self::Rejected { set, aggregate, sum },
            Outcome::Void { set, aggregate } => Self::Void { set, aggregate },
            Outcome::Skipped => Self::Skipped,
            Outcome::Measured { set, aggregate, sum, measured } => {
                Self::Measured { set, aggregate, sum, measured }
            }
        }
    }
}

impl From<OutcomeForm> for Outcome {
    fn from(form: OutcomeForm) -> Self {
        match form {
            OutcomeForm::Applied { set, aggregate, sum } => {
                Self::Applied { set, aggregate, sum, measured: None, stops: false }
            }
            OutcomeForm::AppliedAndMeasured { set, aggregate, sum, measured, stops } => {
                Self::Applied { set, aggregate, sum, measured, stops }
            }
            OutcomeForm::Rejected { set, aggregate, sum } => Self::Rejected { set, aggregate, sum },
            OutcomeForm::Void { set, aggregate } => Self::Void { set, aggregate },
            OutcomeForm::Skipped => Self::Skipped,
            OutcomeForm::Measured { set, aggregate, sum, measured } => {
                Self::Measured { set, aggregate, sum, measured }
            }
        }
    }
}

/// The decided values of one round. Only these are signed, so that every honest member signs the
/// same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The federation.
    pub federation: FederationId,
    /// The manifest in force.
    pub manifest: ManifestDigest,
    /// The epoch of the round.
    pub epoch: Epoch,
    /// The round that ended.
    pub round: Round,
    /// Digest of the record before; the manifest digest for the first.
    pub previous: RecordDigest,
    /// How it ended.
    pub outcome: Outcome,
    /// The global adapter after this round; `None` before the first applied round.
    pub adapter: Option<ObjectRef>,
    /// Rounds applied so far, this one included.
    pub applied: u64,
    /// Seeds the next election and the next mask.
    pub beacon: Beacon,
}

/// A record with the signatures of a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedRecord {
    /// What was decided.
    pub record: Record,
    /// ed25519 signatures over the record, by member, ascending.
    pub signatures: Vec<(MemberIndex, Vec<u8>)>,
    /// Certificates, views, evidence: canonical bytes, not signed over.
    pub attachments: Vec<u8>,
}

/// An entry of the ledger, by kind: a byte in messages, a number in files (there
/// [`RECORD_ENTRY`](crate::ledger::RECORD_ENTRY)). Only add at the end: changes of the members
/// would be further kinds. A program that does not know a kind refuses it by its
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LedgerEntry {
    /// How a round ended.
    Round(CertifiedRecord),
}
