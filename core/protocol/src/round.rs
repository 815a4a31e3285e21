//! One round: the table of its phases, and the parts that do what they are about, in the order of
//! the path of one update: `collect` (commit, transfer, report), `set_decision` (aggregate,
//! certify), `decryption` (decrypt, combine), `outcome_decision`, `finish` (apply, record). Nothing
//! of it survives the round's record.

pub(crate) mod collect;
mod decryption;
mod finish;
mod outcome_decision;
mod set_commitments;
mod set_decision;

pub(crate) use collect::Collect;
pub(crate) use decryption::{Decrypting, Decryption};
pub(crate) use finish::Finish;
pub(crate) use outcome_decision::OutcomeDecision;
pub(crate) use set_commitments::SetCommitments;
pub(crate) use set_decision::SetDecision;

use crate::chain::Chain;
use crate::consensus::Driver;
use crate::context::Cx;
use crate::event::TimerId;
use crate::ids::View;
use crate::members::{Members, SealingKeys};
use crate::recovery::Readiness;
use crate::status::{Activity, Phase};
use crate::wire::journal::Note;
use crate::wire::{Body, CommitmentBody, Decision, ReportBundle, Signed, Value};

/// What a round reads of the rest of the machine.
#[derive(Clone, Copy)]
pub(crate) struct Outside<'a> {
    pub(crate) members: &'a Members,
    pub(crate) keys: &'a SealingKeys,
    pub(crate) chain: &'a Chain,
}

/// The current round.
pub(crate) struct RoundState {
    pub(crate) phase: Phase,
    pub(crate) readiness: Readiness,
    pub(crate) collect: Collect,
    pub(crate) set_commitments: SetCommitments,
    pub(crate) set: SetDecision,
    pub(crate) decryption: Decryption,
    pub(crate) outcome: OutcomeDecision,
    pub(crate) finish: Finish,
}

impl RoundState {
    /// The round in progress, before anything has happened in it.
    pub(crate) fn new(cx: &Cx) -> Self {
        Self {
            phase: Phase::WaitingForQuorum,
            readiness: Readiness::default(),
            collect: Collect::default(),
            set_commitments: SetCommitments::default(),
            set: SetDecision::new(cx),
            decryption: Decryption::default(),
            outcome: OutcomeDecision::new(cx),
            finish: Finish::default(),
        }
    }

    /// A quorum is there: sets the deadlines.
    pub(crate) fn begin(cx: &mut Cx) -> Phase {
        let deadlines = cx.config.manifest.manifest().deadlines;
        let transfer_ms = deadlines.commit_ms.saturating_add(deadlines.transfer_ms);
        cx.set_timer(TimerId::Commit, deadlines.commit_ms);
        cx.set_timer(TimerId::Transfer, transfer_ms);
        cx.set_timer(TimerId::Round, deadlines.round_ms);
        Phase::Commit
    }

    /// The table of phases: does what has become possible in the current phase and returns the next
    /// one. Each is idempotent, and is left only forward. A decision made by the others advances
    /// this member from whichever phase it is in.
    pub(crate) fn advance(&mut self, cx: &mut Cx, outside: Outside<'_>) -> Phase {
        match self.phase {
            Phase::Commit => self.commit(cx, outside),
            Phase::Transfer => self.transfer(cx, outside),
            Phase::Certify => self.certify(cx, outside),
            Phase::Decrypt => self.decrypt(cx, outside),
            Phase::Apply => self.apply(cx, outside),
            Phase::Record => self.record(cx, outside),
            waiting => waiting,
        }
    }

    fn commit(&mut self, cx: &mut Cx, Outside { members, keys, .. }: Outside<'_>) -> Phase {
        if let Some(phase) = self.follow_decision(cx, members) {
            return phase;
        }
        let over = self.collect.commit(cx, members, keys);
        if over { Phase::Transfer } else { Phase::Commit }
    }

    fn transfer(&mut self, cx: &mut Cx, Outside { members, keys, .. }: Outside<'_>) -> Phase {
        if let Some(phase) = self.follow_decision(cx, members) {
            return phase;
        }
        self.collect.transfer(cx, members, keys);
        self.set.add(cx, members, &self.collect, &mut self.set_commitments);
        if !self.collect.report(cx, members, &mut self.set_commitments) {
            return Phase::Transfer;
        }
        self.set.vote.start();
        Phase::Certify
    }

    fn certify(&mut self, cx: &mut Cx, Outside { members, .. }: Outside<'_>) -> Phase {
        self.collect.fetch_updates(cx, members);
        self.set.advance(cx, members, &self.collect, &mut self.set_commitments);
        self.follow_decision(cx, members).unwrap_or(Phase::Certify)
    }

    fn follow_decision(&mut self, cx: &mut Cx, members: &Members) -> Option<Phase> {
        if !self.set.follow(cx, members, &self.collect, &mut self.set_commitments) {
            return None;
        }
        Some(if self.set.decided().is_some() { Phase::Decrypt } else { Phase::Record })
    }

    fn decrypt(&mut self, cx: &mut Cx, Outside { members, .. }: Outside<'_>) -> Phase {
        if self.set.decided().is_none() {
            return Phase::Record;
        }
        self.open(cx, members);
        match self.outcome.advance(cx, members, &self.decryption.key) {
            None => Phase::Decrypt,
            Some(Value::Opened { .. }) => Phase::Apply,
            Some(_) => Phase::Record,
        }
    }

    /// Does its part in opening the decided sum.
    fn open(&mut self, cx: &mut Cx, members: &Members) {
        let Some(decided) = self.set.decided() else { return };
        let (sums, vote) = (&self.set.sums, &self.outcome.vote);
        let of = Decrypting { members, decided, sums, vote };
        self.decryption.release(cx, of, &self.collect, &mut self.set_commitments);
        self.collect.commitments.serve_again(cx, &decided.set);
        self.decryption.open(cx, of);
    }

    /// A member that has not opened the sum yet opens it with the decided key; if the others are
    /// faster it gets the adapter. It also answers if it has not: those that have the key may be
    /// gone.
    fn apply(&mut self, cx: &mut Cx, Outside { members, .. }: Outside<'_>) -> Phase {
        if self.finish.is_applied() {
            return Phase::Record;
        }
        let Some(Value::Opened { sum, .. }) = self.outcome.value() else { return Phase::Record };
        self.open(cx, members);
        if self.decryption.has_culprits()
            && let Some((set, end)) = self.set.vote.decided().zip(self.outcome.vote.decided())
        {
            self.decryption.prove_culprits(cx, set, end);
        }
        if self.decryption.key.opened().is_some_and(|(_, opened)| opened == sum)
            && let Some(decided) = self.set.decided()
        {
            Finish::apply(cx, decided, sum);
        }
        Phase::Apply
    }

    /// The machine ends the round once the record has the signatures of a quorum.
    fn record(&mut self, cx: &mut Cx, Outside { members, chain, .. }: Outside<'_>) -> Phase {
        self.finish.sign(cx, chain, (&self.set, &self.outcome));
        if self.finish.signed_before().is_some() {
            self.help_others(cx, members);
        }
        Phase::Record
    }

    /// This member came here from its journal, past the phases in which it gives others what they
    /// need to come here too.
    fn help_others(&mut self, cx: &mut Cx, members: &Members) {
        let _ = self.follow_decision(cx, members);
        let Some(decided) = self.set.decided() else { return };
        self.collect.commitments.serve_again(cx, &decided.set);
        let (sums, vote) = (&self.set.sums, &self.outcome.vote);
        let _ = self.decryption.fetch(cx, Decrypting { members, decided, sums, vote });
        self.decryption.key.serve(cx, members);
    }

    /// What this member is doing, for operators.
    pub(crate) fn activity(&self) -> Activity {
        match self.phase {
            Phase::Recovering => Activity::Recovering,
            Phase::WaitingForQuorum => Activity::WaitingForQuorum,
            Phase::Sync => Activity::Sync,
            Phase::Commit => Activity::Commit,
            Phase::Transfer => Activity::Transfer,
            Phase::Certify if self.set.has_been_proposed() => Activity::Certify,
            Phase::Certify => Activity::Aggregate,
            Phase::Decrypt if self.decryption.has_combined() => Activity::Combine,
            Phase::Decrypt => Activity::Decrypt,
            Phase::Apply => Activity::Apply,
            Phase::Record => Activity::Record,
            Phase::Paused => Activity::Paused,
            Phase::Done => Activity::Done,
        }
    }

    /// The votes on a decision.
    pub(crate) const fn vote_on(&self, decision: Decision) -> &Driver {
        match decision {
            Decision::Set => &self.set.vote,
            Decision::Outcome => &self.outcome.vote,
        }
    }

    pub(crate) const fn vote_on_mut(&mut self, decision: Decision) -> &mut Driver {
        match decision {
            Decision::Set => &mut self.set.vote,
            Decision::Outcome => &mut self.outcome.vote,
        }
    }

    /// The vote that this member takes part in, and its view.
    pub(crate) fn voting(&self) -> Option<(Decision, View)> {
        [Decision::Outcome, Decision::Set]
            .into_iter()
            .find_map(|decision| self.vote_on(decision).voting_view().map(|view| (decision, view)))
    }

    /// The view's timer has expired.
    pub(crate) fn view_timeout(&mut self) {
        if let Some((decision, _)) = self.voting() {
            self.vote_on_mut(decision).timeout();
        }
    }

    /// The host has sealed the shares of the own update.
    pub(crate) fn on_contribution(&mut self, cx: &mut Cx, body: CommitmentBody) {
        let in_time = matches!(self.phase, Phase::Commit | Phase::Transfer);
        self.collect.on_contribution(cx, &mut self.set_commitments, body, in_time);
    }

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
