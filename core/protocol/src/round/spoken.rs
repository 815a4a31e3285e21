//! What others have said in this round, for those of them that have started and do not know.

use super::RoundState;
use super::state::{Answer, Commitment};
use crate::ids::MemberIndex;
use crate::sign::Signature;
use crate::wire::Statement;

impl RoundState {
    /// What `member` has said in this round that binds it, the small first.
    pub(crate) fn statements_of(&self, member: MemberIndex) -> Vec<(Statement, Signature)> {
        let ready = self.presence.word_of(member).map(|signature| (Statement::Ready, signature));
        let signed = self.signatures.get(&member).copied();
        let partial = self.partials.get(&member).copied();
        let mut said: Vec<(Statement, Signature)> = ready.into_iter().collect();
        said.extend(signed.map(|(digest, by)| (Statement::RecordSignature(digest), by)));
        said.extend(partial.map(|Answer { set, object, signature }| {
            (Statement::Partial { set, object }, signature)
        }));
        let report = self.reports.get(&member).cloned();
        said.extend(report.map(|(set, signature)| (Statement::Report(set), signature)));
        let own = |commitment: &&Commitment| commitment.author == member;
        said.extend(self.commitments.values().filter(own).map(|commitment| {
            let body = Box::new(commitment.body.as_ref().clone());
            (Statement::Commitment(body), commitment.signature)
        }));
        for vote in [&self.set_vote, &self.outcome_vote] {
            said.extend(vote.votes_of(member).map(|(vote, by)| (Statement::Vote(vote), by)));
        }
        said.extend(self.attestations.iter().filter_map(|(set, attested)| {
            let (aggregate, signature) = *attested.get(&member)?;
            Some((Statement::Attestation { set: *set, aggregate }, signature))
        }));
        said
    }
}
