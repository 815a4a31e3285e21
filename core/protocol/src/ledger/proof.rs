//! Why a record is to be believed: a quorum's signatures, and the certificates of its decisions.

use serde::{Deserialize, Serialize};

use super::{RecordError, record_digest, set_of};
use crate::ids::{KeyDigest, MemberIndex, ValueDigest};
use crate::limits::MAX_RECORD_BYTES;
use crate::object::ObjectRef;
use crate::roster::Roster;
use crate::sign::Signature;
use crate::wire::codec::{self, CodecError};
use crate::wire::{Body, Certificate, CertifiedRecord, Decision, Outcome, Value, VoteKind};

/// The certificates behind a record, and the evidence that came to hand in its round. Not signed
/// over, because members may hold different ones.
///
/// Without evidence the bytes are those of earlier versions: the two certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// What decided the set.
    pub set: Certificate,
    /// What decided the end, and the name of the key if a sum was opened ([`Value::key_name`]);
    /// `None` after a skip.
    pub end: Option<(Option<KeyDigest>, Certificate)>,
    /// Names of the evidence that this member kept in the round, by accused, ascending:
    /// [`Evidence`](crate::wire::evidence::Evidence) as an object.
    pub evidence: Vec<(MemberIndex, ObjectRef)>,
}

/// The form without evidence.
#[derive(Serialize, Deserialize)]
struct Certificates {
    set: Certificate,
    end: Option<(Option<KeyDigest>, Certificate)>,
}

impl Attachments {
    /// The canonical bytes.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        if self.evidence.is_empty() {
            let (set, end) = (self.set.clone(), self.end.clone());
            return codec::encode("attachments", &Certificates { set, end }, MAX_RECORD_BYTES);
        }
        codec::encode("attachments", self, MAX_RECORD_BYTES)
    }

    /// Reads canonical bytes, of this version or an earlier one.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        // One form is never read as the other: the longer one goes on where the shorter one ends.
        let certificates = codec::decode::<Certificates>("attachments", bytes, MAX_RECORD_BYTES);
        if let Ok(Certificates { set, end }) = certificates {
            return Ok(Self { set, end, evidence: Vec::new() });
        }
        let with_evidence: Self = codec::decode("attachments", bytes, MAX_RECORD_BYTES)?;
        match with_evidence.evidence.is_empty() {
            true => Err(CodecError::NotCanonical { what: "attachments" }),
            false => Ok(with_evidence),
        }
    }
}

pub(super) fn check_signatures(
    roster: &Roster<'_>,
    certified: &CertifiedRecord,
) -> Result<(), RecordError> {
    let record = &certified.record;
    let signatures = &certified.signatures;
    let (found, needed) = (signatures.len(), roster.rules().quorum);
    if found < usize::from(needed) {
        return Err(RecordError::TooFewSignatures { found, needed });
    }
    if !signatures.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(RecordError::SignatureOrder);
    }
    let body = Body::RecordSignature(record_digest(record));
    for (member, bytes) in signatures {
        let valid = Signature::from_slice(bytes)
            .is_some_and(|signature| roster.is_signed_by(record.round, *member, &body, &signature));
        if !valid {
            return Err(RecordError::Signature(*member));
        }
    }
    Ok(())
}

pub(super) fn check_attachments(
    roster: &Roster<'_>,
    certified: &CertifiedRecord,
) -> Result<(), RecordError> {
    let record = &certified.record;
    let attachments = Attachments::decode(&certified.attachments)?;
    let named = &attachments.evidence;
    if !named.is_sorted_by(|a, b| a.0 < b.0)
        || named.iter().any(|(member, _)| member.0 >= roster.rules().member_count)
    {
        return Err(RecordError::EvidenceOrder);
    }
    let set_value = match set_of(&record.outcome) {
        Some((set, aggregate)) => Value::Aggregate { set: set.clone(), aggregate: *aggregate },
        None => Value::Skip,
    };
    let end_value = match (&record.outcome, &attachments.end) {
        (Outcome::Skipped, None) => None,
        (Outcome::Void { .. }, Some((None, _))) => Some(Value::Void.id()),
        (
            Outcome::Applied { sum, .. }
            | Outcome::Rejected { sum, .. }
            | Outcome::Measured { sum, .. },
            Some((Some(key), _)),
        ) => Some(Value::opened_id(key, sum)),
        _ => return Err(RecordError::Certificates),
    };
    let end = attachments.end.as_ref().map(|(_, certificate)| certificate);
    let pairs = [
        (Decision::Set, Some(set_value.id()), Some(&attachments.set)),
        (Decision::Outcome, end_value, end),
    ];
    for (decision, value, certificate) in pairs {
        let (Some(value), Some(certificate)) = (value, certificate) else { continue };
        if !decides(certificate, decision, &value) || !certificate.is_valid(roster, record.round) {
            return Err(RecordError::Certificate(decision));
        }
    }
    Ok(())
}

/// Whether a certificate claims to decide exactly this value.
pub(crate) fn certifies(certificate: &Certificate, value: &Value) -> bool {
    decides(certificate, value.decision(), &value.id())
}

fn decides(certificate: &Certificate, decision: Decision, value: &ValueDigest) -> bool {
    certificate.kind == VoteKind::Precommit
        && certificate.decision == decision
        && certificate.value == *value
}
