//! Which part of the round gets a message, or a note from the journal.

use super::{Collect, RoundState};
use crate::context::Cx;
use crate::wire::journal::Note;
use crate::wire::{Body, Decision, ReportBundle, Signed};

impl RoundState {
    /// A note of this round from the journal.
    pub(crate) fn recall(&mut self, cx: &mut Cx, note: Note) {
        let decided = self.set.decided_set();
        match note {
            Note::Committed(body) => {
                self.collect.recall_own(cx, &mut self.set_commitments, *body);
            }
            Note::Reported(set) => self.collect.reports.insert_own(cx, set),
            Note::Attested { set, aggregate } => self.set.sums.recall_own(cx, set, aggregate),
            Note::Voting { decision, state, values } => {
                self.vote_on_mut(decision).recall_votes(cx, state, values);
            }
            Note::Decided(decided) => {
                self.vote_on_mut(decided.certificate.decision).recall_decision(*decided);
            }
            Note::Released { set, object } => self.decryption.recall_released(cx, set, object),
            Note::Signed(record) => self.finish.recall_signed(*record),
            Note::Ready => self.readiness.recall_own(cx),
            Note::Present(ready) => self.readiness.recall_others(ready),
            Note::Kept { contributor, body, signature } => {
                let kept = (contributor, *body, signature);
                self.collect.recall_kept(cx, &mut self.set_commitments, decided, kept);
            }
            Note::Opened { key, sum } => self.decryption.key.recall(key, sum),
            Note::Rejected(digest) => self.collect.availability.recall_rejection(cx, digest),
            Note::ShareOpened(member) => {
                self.collect.shares.resealing.recall_opened(member);
            }
            Note::Reached | Note::Incarnation(_) | Note::Excluded(_) => {}
        }
    }

    /// A message of the current round; its signature has been checked. Returns whether anything may
    /// have become possible by it.
    pub(crate) fn on_message(&mut self, cx: &mut Cx, signed: Signed) -> bool {
        match &signed.body {
            Body::Commitment(_)
            | Body::GetCommitments(_)
            | Body::HaveUpdates(_)
            | Body::Rejection(_)
            | Body::Complaint(_)
            | Body::ResealedShare { .. }
            | Body::ShareOpening { .. }
            | Body::Report(_) => return self.on_collect_message(cx, signed),
            Body::ReportBundle { .. }
            | Body::Attestation { .. }
            | Body::Proposal(_)
            | Body::Vote(_)
            | Body::Decided(_)
            | Body::Partial { .. }
            | Body::RecordSignature(_) => self.on_decision_message(cx, signed),
            Body::Heartbeat(_)
            | Body::SealingKey(_)
            | Body::RecordsRequest(_)
            | Body::Records(_)
            | Body::Ready
            | Body::RecoveryRequest(_)
            | Body::RecoveryResponse { .. }
            | Body::Goodbye(_)
            | Body::Ping
            | Body::Accusations(_) => cx.dropped("message: not of a round"),
        }
        true
    }

    /// commit and transfer: updates, what is wrong with them, and reports. Returns whether it is
    /// news.
    fn on_collect_message(&mut self, cx: &mut Cx, signed: Signed) -> bool {
        let Signed { sender, signature, body, .. } = signed;
        let decided = self.set.decided_set();
        if let Body::Commitment(body) = body {
            let commitment = (sender, *body, signature);
            self.collect.on_commitment(cx, &mut self.set_commitments, decided, commitment);
            return true;
        }
        let Collect { commitments, shares, availability, reports } = &mut self.collect;
        match body {
            Body::GetCommitments(list) => {
                commitments.on_get_commitments(cx, sender, &list);
                return false;
            }
            Body::HaveUpdates(list) => {
                return availability.on_have_updates(cx, sender, list, signature);
            }
            Body::Rejection(commitment) => {
                availability.on_rejection(cx, commitments, sender, commitment, signature);
            }
            Body::Complaint(complaint) => {
                shares.on_complaint(cx, commitments, sender, *complaint, signature);
            }
            Body::ResealedShare { commitment, member, sealed } => {
                let resealed = (sealed, signature);
                shares.on_resealed(cx, commitments, sender, (commitment, member), resealed);
            }
            Body::ShareOpening { commitment, member, opening } => {
                let opening = (opening, signature);
                shares.on_opening(cx, commitments, sender, (commitment, member), opening);
            }
            Body::Report(set) => reports.on_report(cx, sender, set, signature),
            _ => {}
        }
        true
    }

    /// certify, decrypt, record: sums, proposals, votes, partial decryptions and signatures.
    fn on_decision_message(&mut self, cx: &mut Cx, signed: Signed) {
        let Signed { sender, signature, body, .. } = signed;
        match body {
            Body::ReportBundle { view, bundle } => {
                let reports = self.set.on_request(cx, sender, (view, bundle), signature);
                self.on_reports(cx, reports);
            }
            Body::Attestation { set, aggregate } => {
                self.set.sums.on_attestation(cx, sender, (set, aggregate), signature);
            }
            Body::Proposal(proposal) => match proposal.value.decision() {
                Decision::Set => {
                    let reports = self.set.on_proposal(cx, sender, *proposal, signature);
                    self.on_reports(cx, reports);
                }
                Decision::Outcome => self.outcome.on_proposal(cx, sender, *proposal, signature),
            },
            Body::Vote(vote) => {
                self.vote_on_mut(vote.decision).on_vote(cx, sender, &vote, signature);
            }
            Body::Decided(decided) => {
                self.vote_on_mut(decided.value.decision()).on_decided(cx, *decided);
            }
            Body::Partial { set, object } => {
                self.decryption.on_partial(cx, sender, (set, object), signature);
            }
            Body::RecordSignature(digest) => {
                self.finish.on_record_signature(cx, sender, digest, signature);
            }
            _ => {}
        }
    }

    /// Reports that a proposer has collected, their signatures checked.
    fn on_reports(&mut self, cx: &mut Cx, reports: Option<ReportBundle>) {
        for (sender, set, signature) in reports.iter().flat_map(ReportBundle::reports) {
            if sender != cx.me() {
                self.collect.reports.on_report(cx, sender, set, signature);
            }
        }
    }
}
