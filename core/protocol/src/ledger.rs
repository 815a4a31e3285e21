//! The ledger: its canonical bytes, and the proof of a federation's whole history from its manifest
//! and records alone.

mod file;
mod proof;
mod record_error;
mod tip;

pub use file::{
    LEDGER_FORMAT, MEASURED_RECORD_ENTRY, RECORD_ENTRY, decode, decode_record, encode,
    encode_record, record_kind,
};
pub use proof::Attachments;
pub(crate) use proof::certifies;
pub use record_error::RecordError;
pub use tip::Tip;

use crate::hash::Use;
use crate::ids::{Digest, MemberIndex, RecordDigest, Round};
use crate::limits::MAX_RECORD_BYTES;
use crate::manifest::{ManifestSignatureError, SignedManifest, ValidManifest};
use crate::object::ObjectRef;
use crate::roster::Roster;
use crate::sign::{Signature, Signatures, verify_ed25519};
use crate::wire::codec;
use crate::wire::{CertifiedRecord, Outcome, Record, UpdateSet};

/// Why a history is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The manifest does not found a federation.
    #[error(transparent)]
    Manifest(#[from] ManifestSignatureError),
    /// Not a ledger at all.
    #[error("this is not a ledger: it does not start as one")]
    NotALedger,
    /// Written by a later version of the program.
    #[error(
        "this ledger was written by a later version of this program (format {version}): upgrade to read it"
    )]
    NewerFormat {
        /// Its version.
        version: char,
    },
    /// A record is wrong.
    #[error("record {index} (round {round}): {reason}")]
    Record {
        /// Position in the ledger, from 0.
        index: usize,
        /// The round it claims, or would have.
        round: Round,
        /// What is wrong.
        reason: RecordError,
    },
}

/// The content of a verified ledger in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many records.
    pub records: usize,
    /// Rounds applied.
    pub applied: u64,
    /// Rounds opened and rejected.
    pub rejected: u64,
    /// Rounds void.
    pub voided: u64,
    /// Rounds skipped.
    pub skipped: u64,
    /// Rounds that measured the final adapter: at most one.
    pub measured: u64,
    /// Where the chain ends.
    pub tip: Tip,
}

/// The set that an outcome decided to open, and its sum.
#[must_use]
pub const fn set_of(outcome: &Outcome) -> Option<(&UpdateSet, &ObjectRef)> {
    match outcome {
        Outcome::Applied { set, aggregate, .. }
        | Outcome::Rejected { set, aggregate, .. }
        | Outcome::Measured { set, aggregate, .. }
        | Outcome::Void { set, aggregate } => Some((set, aggregate)),
        Outcome::Skipped => None,
    }
}

/// The digest that the next record and the signatures refer to.
#[must_use]
pub fn record_digest(record: &Record) -> RecordDigest {
    // A record holds at most one entry for each member; it cannot exceed the limit. An encoding
    // that failed would give the digest of nothing, which no signature covers.
    let bytes = codec::encode("record", record, MAX_RECORD_BYTES).unwrap_or_default();
    RecordDigest(Use::Record.digest(&[&bytes]).0)
}

/// Checks a whole history: chain, order of rounds, signatures of a quorum, certificates, manifest
/// digest, beacon where it can be computed.
///
/// # Errors
/// The first record that is wrong, by position and round.
pub fn verify(
    manifest: &SignedManifest,
    records: &[CertifiedRecord],
) -> Result<Summary, LedgerError> {
    let manifest = ValidManifest::founded(manifest.clone())?;
    verify_with(&Roster::new(&manifest, &OnlyVerify), records)
}

/// [`verify`] for a manifest that has been checked, with signatures checked the roster's way.
///
/// # Errors
/// The first record that is wrong, by position and round.
pub fn verify_with(
    roster: &Roster<'_>,
    records: &[CertifiedRecord],
) -> Result<Summary, LedgerError> {
    let mut tip = Tip::start(roster.manifest());
    let (mut rejected, mut voided, mut skipped, mut measured) = (0, 0, 0, 0);
    for (index, certified) in records.iter().enumerate() {
        let round = certified.record.round;
        tip.check(roster, certified).map_err(|reason| LedgerError::Record {
            index,
            round,
            reason,
        })?;
        tip = tip.after(&certified.record);
        match certified.record.outcome {
            Outcome::Applied { .. } => {}
            Outcome::Rejected { .. } => rejected += 1,
            Outcome::Void { .. } => voided += 1,
            Outcome::Skipped => skipped += 1,
            Outcome::Measured { .. } => measured += 1,
        }
    }
    let applied = tip.applied;
    Ok(Summary { records: records.len(), applied, rejected, voided, skipped, measured, tip })
}

/// ed25519 without a key: verifying a ledger signs nothing.
pub(crate) struct OnlyVerify;

impl Signatures for OnlyVerify {
    fn sign(&self, _: &Digest) -> Signature {
        Signature::default()
    }

    fn verify(
        &self,
        key: &crate::ids::IdentityKey,
        digest: &Digest,
        signature: &Signature,
    ) -> bool {
        verify_ed25519(key, digest, signature)
    }
}

/// Whether `member`'s update is in the set that `outcome` decided.
#[must_use]
pub fn includes(outcome: &Outcome, member: MemberIndex) -> bool {
    set_of(outcome).is_some_and(|(set, _)| set.has_contributor(member))
}
