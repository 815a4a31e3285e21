//! record: everyone signs the decided values only, so that all honest members sign the same bytes; q signatures finish
//! the round. Certificates are attached, not signed over.

use crate::ids::{Digest, MemberIndex};
use crate::ledger::{Attachments, record_digest};
use crate::machine::Machine;
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::journal::Note;
use crate::wire::{Body, CertifiedRecord, Decision, Outcome, Record, Value};

impl Machine {
    pub(super) fn record(&mut self) -> Phase {
        if self.round.record.is_none() {
            self.round.record = self.own_record();
        }
        if !self.round.signatures.contains_key(&self.config.me) {
            self.sign_record();
        }
        if self.round.signed_before.is_some() {
            self.help_others();
        }
        if let Some(certified) = self.certified() {
            self.finish(certified);
        }
        Phase::Record
    }

    /// This member came here from its journal, past the steps in which it gives others what they need to come here too.
    fn help_others(&mut self) {
        let _ = self.decided_elsewhere();
        let Some((set, aggregate)) = self.round.decided.clone() else { return };
        self.serve_again(&set);
        let _ = self.fetch_answers(&aggregate);
        self.serve_opened_key();
    }

    /// The record that follows from what was decided.
    fn own_record(&self) -> Option<Record> {
        let set_value = self.decided_value(Decision::Set)?.value;
        let Value::Aggregate { set, aggregate } = set_value else {
            let adapter = self.tip.adapter;
            return Some(self.tip.record(&self.config.manifest, Outcome::Skipped, adapter, None));
        };
        let (outcome, adapter, nonce) = match self.decided_value(Decision::Outcome)?.value {
            Value::Opened { sum, .. } => {
                let applied = self.round.applied.as_ref()?;
                if applied.accepted {
                    let outcome = Outcome::Applied { set, aggregate, sum };
                    (outcome, Some(applied.adapter), Some(&applied.nonce))
                } else {
                    let outcome = Outcome::Rejected { set, aggregate, sum };
                    (outcome, self.tip.adapter, Some(&applied.nonce))
                }
            }
            _ => (Outcome::Void { set, aggregate }, self.tip.adapter, None),
        };
        Some(self.tip.record(&self.config.manifest, outcome, adapter, nonce))
    }

    fn sign_record(&mut self) {
        let Some(record) = self.round.record.clone() else { return };
        if self.round.signed_before.is_none()
            && !self.persist(Note::Signed(Box::new(record.clone())))
        {
            return;
        }
        let digest = record_digest(&record);
        let body = Body::RecordSignature(digest);
        if let Some(signature) = self.sign(self.round.number, &body) {
            self.round.signatures.insert(self.config.me, (digest, signature));
            self.broadcast(body, signature);
        }
    }

    /// The record signed before a restart is said again, and no other. It need not be found out again: its round was over
    /// for this member but for the signatures of others.
    pub(crate) fn note_own_record(&mut self, record: Record) {
        self.round.signed_before = Some(record.clone());
        self.round.record = Some(record);
    }

    /// Whether an earlier life has signed the record of this round, and nothing keeps this one from saying so.
    pub(super) fn has_signed_before(&self) -> bool {
        self.round.signed_before.is_some() && self.doubt.is_none() && !self.is_silent()
    }

    pub(super) fn take_signature(
        &mut self,
        sender: MemberIndex,
        digest: Digest,
        signature: Signature,
    ) {
        match self.round.signatures.get(&sender).copied() {
            Some((first, _)) if first == digest => {}
            Some((first, first_signature)) => {
                let first = (Body::RecordSignature(first), first_signature);
                self.equivocated(sender, first, (Body::RecordSignature(digest), signature));
            }
            None => {
                self.round.signatures.insert(sender, (digest, signature));
            }
        }
    }

    /// The own record with the signatures of a quorum.
    fn certified(&mut self) -> Option<CertifiedRecord> {
        let record = self.round.record.clone()?;
        let digest = record_digest(&record);
        let signatures: Vec<(MemberIndex, Vec<u8>)> = self
            .round
            .signatures
            .iter()
            .filter(|(_, (signed, _))| *signed == digest)
            .map(|(member, (_, signature))| (*member, signature.to_bytes().to_vec()))
            .collect();
        if signatures.len() < usize::from(self.config.rules().quorum) {
            return None;
        }
        let set = self.round.set_vote.decided()?.clone();
        let end = self.decided_value(Decision::Outcome).map(|decided| {
            let key = match decided.value {
                Value::Opened { ref key, .. } => Some(Value::key_name(key)),
                _ => None,
            };
            (key, decided.certificate)
        });
        let evidence = self.round.banned.iter().map(|(member, it)| (*member, *it)).collect();
        match (Attachments { set, end, evidence }).encode() {
            Ok(attachments) => Some(CertifiedRecord { record, signatures, attachments }),
            Err(_) => {
                self.dropped("record: too long");
                None
            }
        }
    }
}
