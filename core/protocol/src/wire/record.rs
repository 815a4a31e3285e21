//! What the ledger consists of: today one record a round, signed by a quorum. Its verification is
//! in [`ledger`](crate::ledger).

use serde::{Deserialize, Serialize};

use crate::ids::{
    Beacon, Epoch, FederationId, ManifestDigest, MemberIndex, RecordDigest, Round, SumDigest,
};
use crate::object::ObjectRef;
use crate::wire::UpdateSet;

/// How a round ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The sum was opened and applied.
    Applied {
        /// The updates in U.
        set: UpdateSet,
        /// The certified aggregate.
        aggregate: ObjectRef,
        /// Digest of the opened sum.
        sum: SumDigest,
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
/// [`RECORD_ENTRY`](crate::ledger::RECORD_ENTRY)). Only add at the end: changes of the members and
/// evaluations would be further kinds. A program that does not know a kind refuses it by its
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LedgerEntry {
    /// How a round ended.
    Round(CertifiedRecord),
}
