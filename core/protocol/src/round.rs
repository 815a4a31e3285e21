//! One round, in protocol order: elect, commit, transfer, report, aggregate, certify, decrypt, combine, conclude, apply,
//! record. Each file of this folder is one step; the two tables below are the whole of it.

mod aggregate;
mod answer;
mod apply;
mod certify;
mod check_key;
mod combine;
mod commit;
mod complain;
mod conclude;
mod decrypt;
mod elect;
mod kept;
mod lapse;
mod prepare;
mod record;
mod reject;
mod report;
mod share_opening;
mod spoken;
mod state;
mod stirred;
mod transfer;
mod voting;

pub(crate) use lapse::Lapses;
pub(crate) use state::{Answer, RoundState};

use crate::machine::Machine;
use crate::status::Phase;
use crate::wire::{Body, Signed};

impl Machine {
    /// Does whatever has become possible. Each step is idempotent and leaves its phase only forward.
    pub(crate) fn advance(&mut self) {
        self.ask_in_doubt();
        self.check_claims();
        self.keep_house();
        loop {
            let before = (self.round.number, self.round.phase);
            let next = match self.round.phase {
                Phase::Doubt | Phase::Gather | Phase::Sync | Phase::Paused | Phase::Done => {
                    self.elect()
                }
                Phase::Commit => self.commit(),
                Phase::Transfer => self.transfer(),
                Phase::Aggregate => self.aggregate(),
                Phase::Certify => self.certify(),
                Phase::Decrypt => self.decrypt(),
                Phase::Combine => self.combine(),
                Phase::Apply => self.apply(),
                Phase::Record => self.record(),
            };
            if self.round.number == before.0 {
                self.round.phase = next;
            }
            if (self.round.number, self.round.phase) == before {
                break;
            }
            self.keep_house();
        }
    }

    /// Notes a message of the current round; its signature has been checked.
    pub(crate) fn take(&mut self, signed: Signed) {
        let Signed { sender, signature, body, .. } = signed;
        match body {
            Body::Commitment(body) => self.take_commitment(sender, *body, signature),
            Body::HaveUpdates(list) => self.take_have_updates(sender, list, signature),
            Body::Complaint(complaint) => self.take_complaint(sender, *complaint, signature),
            Body::ResealedShare { commitment, member, sealed } => {
                self.take_sealed(sender, (commitment, member), sealed, signature);
            }
            Body::ShareOpening { commitment, member, opening } => {
                self.take_share_opening(sender, (commitment, member), opening, signature);
            }
            Body::Report(set) => self.take_report(sender, set, signature),
            Body::ReportBundle { view, bundle } => {
                self.take_report_bundle(sender, view, bundle, signature);
            }
            Body::Attestation { set, aggregate } => {
                self.take_attestation(sender, set, aggregate, signature);
            }
            Body::Proposal(proposal) => self.take_proposal(sender, *proposal, signature),
            Body::Vote(vote) => self.take_vote(sender, &vote, signature),
            Body::Decided(decided) => self.take_decided(*decided),
            Body::Partial { set, object } => self.take_partial(sender, set, object, signature),
            Body::RecordSignature(digest) => self.take_signature(sender, digest, signature),
            Body::Ready => self.take_ready(sender, signature),
            Body::RecoveryRequest(nonce) => self.take_doubt(sender, nonce),
            Body::RecoveryResponse { nonce, statements: said, heartbeat } => {
                self.take_memory(sender, &nonce, said, heartbeat);
            }
            Body::GetCommitments(list) => self.take_want(sender, &list),
            Body::Rejection(commitment) => self.take_rejection(sender, commitment, signature),
            Body::Heartbeat(_)
            | Body::SealingKey(_)
            | Body::RecordsRequest(_)
            | Body::Records(_)
            | Body::Goodbye(_)
            | Body::Ping
            | Body::Accusations(_) => {
                self.dropped("message: not of a round");
            }
        }
    }
}
