//! The ledger: its canonical bytes, and the proof of a federation's whole history from its manifest and records alone.

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::codec::{self, CodecError};
use crate::hash::Use;
use crate::ids::{Digest, MemberIndex, Round};
use crate::limits::MAX_RECORD_BYTES;
use crate::manifest::{FoundingError, SignedManifest, ValidManifest};
use crate::message::{Body, Set, Value, VoteKind};
use crate::object::ObjectRef;
use crate::record::{CertifiedRecord, Outcome, Record};
use crate::roster::Roster;
use crate::sign::{Signature, Signatures, verify_ed25519};

/// What a file with a ledger starts with.
const MAGIC: &[u8; 8] = b"fsledg1\n";

/// Why a history is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The manifest does not found a federation.
    #[error(transparent)]
    Manifest(#[from] FoundingError),
    /// Not a ledger at all.
    #[error("this is not a ledger: it does not start as one")]
    NotALedger,
    /// A record is wrong.
    #[error("record {index} (round {round}): {reason}")]
    Record {
        /// Position in the ledger, from 0.
        index: usize,
        /// The round it claims, or would have.
        round: Round,
        /// What is wrong.
        reason: String,
    },
}

/// What a verified ledger says.
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
    /// Where the chain ends.
    pub tip: Tip,
}

/// The end of a chain of records: what the next one must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Digest of the last record; the manifest digest before the first.
    pub head: Digest,
    /// The next round.
    pub round: Round,
    /// Rounds applied.
    pub applied: u64,
    /// The global adapter.
    pub adapter: Option<ObjectRef>,
    /// The beacon of the next round.
    pub beacon: Digest,
}

impl Tip {
    /// Before the first record.
    #[must_use]
    pub fn start(manifest: &ValidManifest) -> Self {
        Self {
            head: manifest.digest(),
            round: Round(0),
            applied: 0,
            adapter: None,
            beacon: manifest.first_beacon(),
        }
    }

    /// The record that ends the next round with `outcome`.
    #[must_use]
    pub fn record(
        &self,
        manifest: &ValidManifest,
        outcome: Outcome,
        adapter: Option<ObjectRef>,
        nonce: Option<&Digest>,
    ) -> Record {
        let applied = self.applied + u64::from(matches!(outcome, Outcome::Applied { .. }));
        let beacon = match nonce {
            Some(nonce) => Use::BeaconOpened.digest(&[self.beacon.as_bytes(), nonce.as_bytes()]),
            None => self.skip_beacon(),
        };
        Record {
            federation: manifest.federation(),
            manifest: manifest.digest(),
            epoch: manifest.epoch(),
            round: self.round,
            previous: self.head,
            outcome,
            adapter,
            applied,
            beacon,
        }
    }

    /// The beacon after a round that opened nothing.
    fn skip_beacon(&self) -> Digest {
        Use::BeaconSkip.digest(&[self.beacon.as_bytes(), &self.round.0.to_le_bytes()])
    }

    /// The tip after `record`, which has been checked.
    #[must_use]
    pub fn after(&self, record: &Record) -> Self {
        Self {
            head: record_digest(record),
            round: record.round.next(),
            applied: record.applied,
            adapter: record.adapter,
            beacon: record.beacon,
        }
    }

    /// Checks that `certified` is the next record, signed by a quorum, its certificates included.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self, roster: &Roster<'_>, certified: &CertifiedRecord) -> Result<(), String> {
        let record = &certified.record;
        self.check_chain(roster.manifest(), record)?;
        self.check_outcome(roster, record)?;
        check_signatures(roster, certified)?;
        check_attachments(roster, certified)
    }

    fn check_chain(&self, manifest: &ValidManifest, record: &Record) -> Result<(), String> {
        let same = |what: &str, ok: bool| {
            if ok { Ok(()) } else { Err(format!("{what} does not follow from what came before")) }
        };
        same("the federation id", record.federation == manifest.federation())?;
        same("the manifest digest", record.manifest == manifest.digest())?;
        same("the epoch", record.epoch == manifest.epoch())?;
        same("the round", record.round == self.round)?;
        same("the digest of the previous record", record.previous == self.head)
    }

    fn check_outcome(&self, roster: &Roster<'_>, record: &Record) -> Result<(), String> {
        let applied = matches!(record.outcome, Outcome::Applied { .. });
        if record.applied != self.applied + u64::from(applied) {
            return Err("the count of applied rounds is wrong".into());
        }
        if !applied && record.adapter != self.adapter {
            return Err("the adapter changed in a round that applied nothing".into());
        }
        if applied && record.adapter.is_none_or(|adapter| adapter.check_size().is_err()) {
            return Err("an applied round names no adapter".into());
        }
        let opened = matches!(record.outcome, Outcome::Applied { .. } | Outcome::Rejected { .. });
        if !opened && record.beacon != self.skip_beacon() {
            return Err("the beacon is not the one that follows a round without a sum".into());
        }
        let Some((set, _)) = set_of(&record.outcome) else { return Ok(()) };
        let rules = roster.rules();
        if !set.is_sorted_by(|a, b| a.0 < b.0) || set.iter().any(|(m, _)| m.0 >= rules.member_count)
        {
            return Err("the set of updates is not a list of different members".into());
        }
        if set.len() < usize::from(rules.min_contributors) {
            return Err(format!(
                "the sum has {} updates, fewer than the {} that the manifest asks for",
                set.len(),
                rules.min_contributors
            ));
        }
        Ok(())
    }
}

/// The set that an outcome decided to open, and its sum.
#[must_use]
pub const fn set_of(outcome: &Outcome) -> Option<(&Set, &ObjectRef)> {
    match outcome {
        Outcome::Applied { set, aggregate, .. }
        | Outcome::Rejected { set, aggregate, .. }
        | Outcome::Void { set, aggregate } => Some((set, aggregate)),
        Outcome::Skipped => None,
    }
}

/// The digest that the next record and the signatures refer to.
#[must_use]
pub fn record_digest(record: &Record) -> Digest {
    // A record holds at most one entry for each member; it cannot exceed the limit. An encoding that failed would give
    // the digest of nothing, which no signature covers.
    let bytes = codec::encode("record", record, MAX_RECORD_BYTES).unwrap_or_default();
    Use::Record.digest(&[&bytes])
}

/// The certificates behind a record. Not signed over, because members may hold different ones for the same decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// What decided the set.
    pub set: Certificate,
    /// What decided the end, and the digest of the key if a sum was opened; `None` after a skip.
    pub end: Option<(Option<Digest>, Certificate)>,
}

impl Attachments {
    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("attachments", self, MAX_RECORD_BYTES)
    }
}

fn check_signatures(roster: &Roster<'_>, certified: &CertifiedRecord) -> Result<(), String> {
    let record = &certified.record;
    let signatures = &certified.signatures;
    if signatures.len() < usize::from(roster.rules().quorum) {
        return Err(format!(
            "{} signatures, fewer than the quorum of {}",
            signatures.len(),
            roster.rules().quorum
        ));
    }
    if !signatures.is_sorted_by(|a, b| a.0 < b.0) {
        return Err("the signatures are not by different members in order".into());
    }
    let body = Body::RecordSignature(record_digest(record));
    for (member, bytes) in signatures {
        let valid = Signature::from_slice(bytes)
            .is_some_and(|signature| roster.is_said(record.round, *member, &body, &signature));
        if !valid {
            return Err(format!("the signature of member {member} does not verify"));
        }
    }
    Ok(())
}

fn check_attachments(roster: &Roster<'_>, certified: &CertifiedRecord) -> Result<(), String> {
    let record = &certified.record;
    let attachments: Attachments =
        codec::decode("attachments", &certified.attachments, MAX_RECORD_BYTES)
            .map_err(|error| error.to_string())?;
    let set_value = match set_of(&record.outcome) {
        Some((set, aggregate)) => Value::Aggregate { set: set.clone(), aggregate: *aggregate },
        None => Value::Skip,
    };
    let end_value = match (&record.outcome, &attachments.end) {
        (Outcome::Skipped, None) => None,
        (Outcome::Void { .. }, Some((None, _))) => Some(Value::Void),
        (Outcome::Applied { sum, .. } | Outcome::Rejected { sum, .. }, Some((Some(key), _))) => {
            Some(Value::Opened { key: *key, sum: *sum })
        }
        _ => return Err("the certificates are not those of its outcome".into()),
    };
    let end = attachments.end.as_ref().map(|(_, certificate)| certificate);
    let pairs = [(Some(set_value), Some(&attachments.set)), (end_value, end)];
    for (value, certificate) in pairs {
        let (Some(value), Some(certificate)) = (value, certificate) else { continue };
        if !certifies(certificate, &value) || !certificate.is_valid(roster, record.round) {
            return Err(format!("the certificate of the {:?} decision is wrong", value.decision()));
        }
    }
    Ok(())
}

/// Whether a certificate claims to decide exactly this value.
pub(crate) fn certifies(certificate: &Certificate, value: &Value) -> bool {
    certificate.kind == VoteKind::Precommit
        && certificate.decision == value.decision()
        && certificate.value == value.id()
}

/// Checks a whole history: chain, order of rounds, signatures of a quorum, certificates, manifest digest, beacon where
/// it can be computed.
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
    let (mut rejected, mut voided, mut skipped) = (0, 0, 0);
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
        }
    }
    let applied = tip.applied;
    Ok(Summary { records: records.len(), applied, rejected, voided, skipped, tip })
}

/// The canonical bytes of a ledger: a magic, then each record behind its length in four little-endian bytes.
///
/// # Errors
/// [`CodecError::TooLong`] if a record is over its limit.
pub fn encode(records: &[CertifiedRecord]) -> Result<Vec<u8>, CodecError> {
    let mut bytes = MAGIC.to_vec();
    for record in records {
        let record = codec::encode("certified record", record, MAX_RECORD_BYTES)?;
        // Fits: MAX_RECORD_BYTES is far below 2^32.
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    Ok(bytes)
}

/// Reads a ledger; its content is not checked, see [`verify`].
///
/// # Errors
/// Names the first record that cannot be read.
pub fn decode(bytes: &[u8]) -> Result<Vec<CertifiedRecord>, LedgerError> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(LedgerError::NotALedger)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let index = records.len();
        let wrong =
            |reason: String| LedgerError::Record { index, round: Round(index as u64), reason };
        let cut = || wrong("it is cut short".into());
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (record, after) = after.split_at_checked(length).ok_or_else(cut)?;
        let record = codec::decode("certified record", record, MAX_RECORD_BYTES)
            .map_err(|error| wrong(error.to_string()))?;
        records.push(record);
        rest = after;
    }
    Ok(records)
}

/// ed25519 without a key: verifying a ledger signs nothing.
struct OnlyVerify;

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
    set_of(outcome).is_some_and(|(set, _)| set.iter().any(|(m, _)| *m == member))
}
