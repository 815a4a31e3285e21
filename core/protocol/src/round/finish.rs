//! apply: the opened sum goes into the global adapter: the same arithmetic, bit for bit, at every
//! member.
//!
//! record: everyone signs the decided values only, so all honest members sign the same bytes; q
//! signatures finish the round. Certificates are attached and not signed.

use std::collections::BTreeMap;

use super::outcome_decision::OutcomeDecision;
use super::set_decision::{DecidedSet, SetDecision};
use crate::chain::Chain;
use crate::context::{Cx, Tag};
use crate::ids::{MemberIndex, RecordDigest, SumDigest};
use crate::job::{Applied, Job};
use crate::ledger::{Attachments, record_digest};
use crate::members::Bans;
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, CertifiedRecord, Outcome, Record, Value};

/// How the round ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finish {
    applied: Option<Applied>,
    record: Option<Record>,
    /// The record signed before a restart.
    signed_before: Option<Record>,
    signatures: BTreeMap<MemberIndex, (RecordDigest, Signature)>,
}

impl Finish {
    /// Whether nothing is left to apply.
    pub(super) const fn is_applied(&self) -> bool {
        self.applied.is_some() || self.record.is_some()
    }

    /// The adapter that this member has made of the sum, if the sum was in range.
    pub(crate) fn accepted_adapter(&self) -> Option<crate::object::ObjectRef> {
        self.applied.as_ref().filter(|applied| applied.accepted).map(|applied| applied.adapter)
    }

    /// Applies the decided sum, which is on this disk.
    pub(super) fn apply(cx: &mut Cx, decided: &DecidedSet, sum: SumDigest) {
        let (start, set) = (cx.start, decided.set.clone());
        cx.start(Tag::Apply(cx.round()), Job::Apply { start, set, sum });
    }

    /// The host has applied the sum of this round.
    pub(crate) fn on_applied(&mut self, applied: Applied) {
        self.applied = Some(applied);
    }

    /// Whether it is known how the round ends.
    pub(super) const fn has_record(&self) -> bool {
        self.record.is_some()
    }

    /// Signs the record that follows from what was decided, once it is known; an applied round's
    /// not before it is known whether it ends the training.
    pub(super) fn sign(
        &mut self,
        cx: &mut Cx,
        chain: &Chain,
        (set, outcome): (&SetDecision, &OutcomeDecision),
        stops: Option<bool>,
    ) {
        if self.record.is_none() {
            self.record = self.own_record(cx, chain, (set, outcome), stops);
        }
        if self.signatures.contains_key(&cx.me()) {
            return;
        }
        let Some(record) = self.record.clone() else { return };
        if self.signed_before.is_none() && !cx.persist(Note::Signed(Box::new(record.clone()))) {
            return;
        }
        let digest = record_digest(&record);
        let body = Body::RecordSignature(digest);
        if let Some(signature) = cx.sign(cx.round(), &body) {
            self.signatures.insert(cx.me(), (digest, signature));
            cx.broadcast_signed(body, signature);
        }
    }

    fn own_record(
        &self,
        cx: &Cx,
        chain: &Chain,
        (set, outcome): (&SetDecision, &OutcomeDecision),
        stops: Option<bool>,
    ) -> Option<Record> {
        let (tip, manifest) = (&chain.tip, &cx.config.manifest);
        let Value::Aggregate { set, aggregate } = set.vote.decided()?.value else {
            return Some(tip.record(manifest, Outcome::Skipped, tip.adapter, None));
        };
        let (outcome, adapter, nonce) = match outcome.value()? {
            Value::Opened { sum, .. } => {
                let applied = self.applied.as_ref()?;
                let least = cx.config.rules().min_contributors;
                let measured = applied.measured.and_then(|it| it.admitted(set.len(), least));
                if applied.accepted && chain.is_trained() {
                    let outcome = Outcome::Measured { set, aggregate, sum, measured };
                    (outcome, tip.adapter, Some(&applied.nonce))
                } else if applied.accepted {
                    let stops = stops?;
                    let outcome = Outcome::Applied { set, aggregate, sum, measured, stops };
                    (outcome, Some(applied.adapter), Some(&applied.nonce))
                } else {
                    let outcome = Outcome::Rejected { set, aggregate, sum };
                    (outcome, tip.adapter, Some(&applied.nonce))
                }
            }
            _ => (Outcome::Void { set, aggregate }, tip.adapter, None),
        };
        Some(tip.record(manifest, outcome, adapter, nonce))
    }

    /// The record signed before a restart is sent again, and no other. It need not be found out
    /// again: its round was over for this member but for the signatures of others.
    pub(crate) fn recall_signed(&mut self, record: Record) {
        self.signed_before = Some(record.clone());
        self.record = Some(record);
    }

    /// The record signed before a restart.
    pub(crate) const fn signed_before(&self) -> Option<&Record> {
        self.signed_before.as_ref()
    }

    /// Who has signed a record.
    pub(crate) fn signers(&self) -> impl ExactSizeIterator<Item = MemberIndex> + '_ {
        self.signatures.keys().copied()
    }

    /// The record that a member has signed, by digest, and its signature.
    pub(crate) fn signature_of(&self, member: MemberIndex) -> Option<(RecordDigest, Signature)> {
        self.signatures.get(&member).copied()
    }

    pub(crate) fn on_record_signature(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        digest: RecordDigest,
        signature: Signature,
    ) {
        match self.signatures.get(&sender).copied() {
            Some((first, _)) if first == digest => {}
            Some((first, first_signature)) => {
                let first = (Body::RecordSignature(first), first_signature);
                cx.equivocated(sender, first, (Body::RecordSignature(digest), signature));
            }
            None => {
                self.signatures.insert(sender, (digest, signature));
            }
        }
    }

    /// This member's own record with the signatures of a quorum, once they are here.
    pub(crate) fn certified(
        &self,
        cx: &mut Cx,
        (set, outcome): (&SetDecision, &OutcomeDecision),
        bans: &Bans,
    ) -> Option<CertifiedRecord> {
        let record = self.record.clone()?;
        let digest = record_digest(&record);
        let signatures: Vec<(MemberIndex, Vec<u8>)> = self
            .signatures
            .iter()
            .filter(|(_, (signed, _))| *signed == digest)
            .map(|(member, (_, signature))| (*member, signature.to_bytes().to_vec()))
            .collect();
        if signatures.len() < usize::from(cx.config.rules().quorum) {
            return None;
        }
        let set = set.vote.agreement().decided()?.clone();
        let end = outcome.vote.decided().map(|decided| {
            let key = match decided.value {
                Value::Opened { ref key, .. } => Some(Value::key_name(key)),
                _ => None,
            };
            (key, decided.certificate)
        });
        let evidence = bans.of_this_round().iter().map(|(member, it)| (*member, *it)).collect();
        match (Attachments { set, end, evidence }).encode() {
            Ok(attachments) => Some(CertifiedRecord { record, signatures, attachments }),
            Err(_) => {
                cx.dropped("record: too long");
                None
            }
        }
    }
}
