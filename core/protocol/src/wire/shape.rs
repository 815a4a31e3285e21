//! Bounds on the content of a message, checked before anything of it is used.

use super::{Body, Heartbeat, LedgerEntry, Proposal};
use crate::limits::{
    MAX_KEY_BYTES, MAX_OPENING_BYTES, MAX_PARTIAL_BYTES, MAX_RECORD_BYTES,
    MAX_REQUESTED_COMMITMENTS, MAX_SEALED_SHARE_BYTES, MAX_SEALING_KEY_BYTES, MAX_SHARES_BYTES,
    MAX_STATEMENTS,
};
use crate::object::ObjectRef;
use crate::wire::{Certificate, CommitmentBody};

impl Body {
    /// Whether every list, length and index is possible in a federation of `member_count`.
    #[must_use]
    pub fn is_within_bounds(&self, member_count: u16) -> bool {
        let n = usize::from(member_count);
        match self {
            Self::Heartbeat(heartbeat) => is_heartbeat(heartbeat, n),
            Self::SealingKey(key) => (1..=MAX_SEALING_KEY_BYTES).contains(&key.len()),
            Self::Commitment(body) => is_commitment(body, n),
            Self::HaveUpdates(list) => list.len() <= 2 * n && list.is_sorted_by(|a, b| a < b),
            Self::GetCommitments(list) => list.len() <= MAX_REQUESTED_COMMITMENTS,
            Self::Rejection(_) => true,
            Self::Accusations(list) => super::accusation::is_list(list, member_count),
            Self::Complaint(complaint) => {
                (1..=MAX_SEALING_KEY_BYTES).contains(&complaint.sealing_key.len())
            }
            Self::RecordSignature(_) | Self::RecordsRequest(_) => true,
            Self::ResealedShare { member, sealed, .. } => {
                member.0 < member_count && sealed.len() as u64 <= MAX_SEALED_SHARE_BYTES
            }
            Self::ShareOpening { member, opening, .. } => {
                member.0 < member_count && opening.len() <= MAX_OPENING_BYTES
            }
            Self::Report(set) => set.is_within(member_count),
            Self::ReportBundle { bundle, .. } => bundle.is_within_bounds(member_count),
            Self::Attestation { aggregate, .. } => aggregate.check_size().is_ok(),
            Self::Proposal(proposal) => is_proposal(proposal, member_count),
            Self::Vote(_)
            | Self::Ready
            | Self::RecoveryRequest(_)
            | Self::Goodbye(_)
            | Self::Ping => true,
            Self::RecoveryResponse { statements, heartbeat, .. } => {
                statements.len() <= MAX_STATEMENTS
                    && heartbeat.as_ref().is_none_or(|it| is_heartbeat(&it.heartbeat, n))
                    && statements.iter().all(|(it, _)| it.body().is_within_bounds(member_count))
            }
            Self::Decided(decided) => {
                is_certificate(&decided.certificate, member_count)
                    && is_value(&decided.value, member_count)
            }
            Self::Partial { object, .. } => (1..=MAX_PARTIAL_BYTES).contains(&object.length),
            Self::Records(entries) => entries.iter().all(|LedgerEntry::Round(record)| {
                record.signatures.len() <= n && record.attachments.len() <= MAX_RECORD_BYTES
            }),
        }
    }
}

fn is_heartbeat(heartbeat: &Heartbeat, n: usize) -> bool {
    heartbeat.versions.is_possible() && heartbeat.known.all().iter().all(|bits| bits.fits(n))
}

fn is_commitment(body: &CommitmentBody, n: usize) -> bool {
    let is_possible = |object: &ObjectRef| (1..=MAX_SEALED_SHARE_BYTES).contains(&object.length);
    body.ciphertext.length > 0
        && body.ciphertext.check_size().is_ok()
        && body.sealed_shares.len() == n
        && body.sealed_shares.iter().flatten().all(is_possible)
        && body.shares.len() <= MAX_SHARES_BYTES
}

fn is_value(value: &super::Value, member_count: u16) -> bool {
    match value {
        super::Value::Aggregate { set, aggregate } => {
            set.is_within(member_count) && aggregate.check_size().is_ok()
        }
        super::Value::Opened { key, .. } => (1..=MAX_KEY_BYTES).contains(&key.length),
        _ => true,
    }
}

fn is_certificate(certificate: &Certificate, member_count: u16) -> bool {
    certificate.votes.is_sorted_by(|a, b| a.0 < b.0)
        && certificate.votes.iter().all(|(member, _)| member.0 < member_count)
}

fn is_proposal(proposal: &Proposal, member_count: u16) -> bool {
    is_value(&proposal.value, member_count)
        && proposal.polka.as_ref().is_none_or(|polka| is_certificate(polka, member_count))
        && proposal.justification.as_ref().is_none_or(|justification| {
            justification.bundle.is_within_bounds(member_count)
                && justification.attestations.is_sorted_by(|a, b| a.0 < b.0)
        })
}
