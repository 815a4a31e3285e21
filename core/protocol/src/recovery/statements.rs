//! What a member has sent in this round that binds it: recovery replies to others, and the check of others' replies against the
//! own journal.

use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::ledger::record_digest;
use crate::round::RoundState;
use crate::sign::Signature;
use crate::wire::Statement;

impl RoundState {
    /// What `member` has sent in this round that binds it, the small first.
    pub(super) fn statements_of(&self, member: MemberIndex) -> Vec<(Statement, Signature)> {
        let ready = self.readiness.signature_of(member);
        let mut said: Vec<(Statement, Signature)> =
            ready.map(|signature| (Statement::Ready, signature)).into_iter().collect();
        let signed = self.finish.signature_of(member);
        said.extend(signed.map(|(digest, by)| (Statement::RecordSignature(digest), by)));
        let partial = self.decryption.partial_of(member);
        said.extend(
            partial.map(|it| (Statement::Partial { set: it.set, object: it.object }, it.signature)),
        );
        let report = self.collect.reports.of(member).cloned();
        said.extend(report.map(|(set, signature)| (Statement::Report(set), signature)));
        said.extend(self.collect.commitments.all_of(member).map(|known| {
            let body = Box::new(known.body.as_ref().clone());
            (Statement::Commitment(body), known.signature)
        }));
        for agreement in [self.set.vote.agreement(), self.outcome.vote.agreement()] {
            said.extend(agreement.votes_of(member).map(|(vote, by)| (Statement::Vote(vote), by)));
        }
        said.extend(self.set.sums.attested_by(member).map(|(set, aggregate, signature)| {
            (Statement::Attestation { set, aggregate }, signature)
        }));
        said
    }

    /// Whether the journal has it that this member sent this in the current round.
    pub(super) fn has_sent(&self, cx: &Cx, statement: &Statement) -> bool {
        let me = cx.me();
        match statement {
            Statement::Ready => self.readiness.is_ready(),
            Statement::Commitment(body) => {
                let digest = cx.config.roster().scope(cx.round()).commitment(me, body);
                digest.is_ok_and(|digest| self.collect.commitments.own() == Some(digest))
            }
            Statement::Report(set) => {
                self.collect.reports.of(me).is_some_and(|(own, _)| own == set)
            }
            Statement::Attestation { set, aggregate } => {
                self.set.sums.attestation(set, me) == Some(*aggregate)
            }
            Statement::Vote(vote) => self.vote_on(vote.decision).agreement().has_cast(vote),
            Statement::Partial { set, object } => {
                self.decryption.released() == Some((*set, *object))
            }
            Statement::RecordSignature(digest) => {
                self.finish.signed_before().is_some_and(|own| record_digest(own) == *digest)
            }
        }
    }
}
