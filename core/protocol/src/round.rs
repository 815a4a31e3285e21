//! One round: the table of its phases, and the parts that do what they are about, in the order of
//! the path of one update: `collect` (commit, transfer, report), `set_decision` (aggregate,
//! certify), `decryption` (decrypt, combine), `outcome_decision`, `finish` (apply, record). Nothing
//! of it survives the round's record.

pub(crate) mod collect;
mod decryption;
mod finish;
mod outcome_decision;
mod routing;
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
use crate::wire::{CommitmentBody, Decision, Value};

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
        let stops = if self.finish.has_record() { None } else { self.stops(cx, chain) };
        self.finish.sign(cx, chain, (&self.set, &self.outcome), stops);
        if self.finish.signed_before().is_some() {
            self.help_others(cx, members);
        }
        Phase::Record
    }

    /// Whether the updates of the decided set end the training: a quorum of their contributors have
    /// stopped improving. `None` while a commitment of the set, or the shape of the round, is not
    /// here. Each of the set's digests covers what its member says, so all members find the same.
    fn stops(&mut self, cx: &mut Cx, chain: &Chain) -> Option<bool> {
        let can_stop = cx.config.manifest.manifest().stop.is_some();
        if !can_stop || chain.tip.stopped.is_some() || chain.is_trained() {
            return Some(false);
        }
        let Some(decided) = self.set.decided() else { return Some(false) };
        let (commitments, set) = (&self.collect.commitments, &decided.set);
        let are_here = self.set_commitments.request(cx, commitments, set);
        if !commitments.is_prepared(cx) || !are_here {
            return None;
        }
        Some(commitments.stalled_in(set) >= usize::from(cx.config.rules().stop_threshold()))
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

    /// The host has sealed the shares of this member's own update.
    pub(crate) fn on_contribution(&mut self, cx: &mut Cx, body: CommitmentBody) {
        let in_time = matches!(self.phase, Phase::Commit | Phase::Transfer);
        self.collect.on_contribution(cx, &mut self.set_commitments, body, in_time);
    }
}
