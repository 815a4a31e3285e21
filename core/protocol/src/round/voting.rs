//! The votes of both decisions: between messages, the agreement and the journal.

use std::collections::BTreeSet;

use crate::consensus::{Action, Wait};
use crate::event::TimerId;
use crate::ids::{Digest, MemberIndex, View};
use crate::ledger::certifies;
use crate::limits::VIEW_WINDOW;
use crate::machine::Machine;
use crate::sign::Signature;
use crate::wire::evidence::Evidence;
use crate::wire::journal::Note;
use crate::wire::{Body, Certificate, Decided, Decision, Proposal, Value, Vote, VoteKind};

impl Machine {
    /// Votes as long as there is something to vote. What binds is persisted before anything is said.
    pub(super) fn deliberate(&mut self, decision: Decision) {
        if self.round.vote_on(decision).is_idle() {
            return;
        }
        let election = self.round.election.clone();
        let mut said = Vec::new();
        loop {
            let view = self.round.vote_on(decision).view();
            let proposer = self.round.election.proposer(view);
            if self.is_away(proposer) || self.is_banned(proposer) {
                self.round.vote_on_mut(decision).give_up_on_proposer();
            }
            let member_count = usize::from(self.config.rules().member_count);
            self.round.vote_on_mut(decision).give_up_on_votes(member_count);
            let validity = match decision {
                Decision::Set => self.set_validity(),
                Decision::Outcome => self.outcome_validity(),
            };
            let Some(action) = self.round.vote_on_mut(decision).poll(&election, &validity) else {
                break;
            };
            match action {
                Action::Vote(vote) => {
                    let signature = self.count_own_vote(&vote);
                    said.extend(signature.map(|signature| (Body::Vote(vote), signature)));
                }
                Action::Propose { view, value, polka } => {
                    said.extend(self.own_proposal(decision, view, value, polka));
                }
                Action::Timer(wait, view) => self.set_view_timer(wait, view),
                Action::Decide => self.remember_decision(decision),
            }
        }
        if !said.is_empty() && self.persist_votes(decision) {
            for (body, signature) in said {
                self.broadcast(body, signature);
            }
        }
    }

    fn persist_votes(&mut self, decision: Decision) -> bool {
        let state = self.round.vote_on(decision).state().clone();
        let named: BTreeSet<Digest> =
            [&state.locked, &state.valid].into_iter().flatten().map(|c| c.value).collect();
        let values = named.iter().filter_map(|id| self.round.values.get(id)).cloned().collect();
        self.persist(Note::Voting { decision, state, values })
    }

    /// Counts a vote of this member, fresh or from the journal.
    pub(crate) fn count_own_vote(&mut self, vote: &Vote) -> Option<Signature> {
        let signature = self.sign(self.round.number, &Body::Vote(*vote))?;
        let me = self.config.me;
        self.round.vote_on_mut(vote.decision).vote(me, vote, signature);
        Some(signature)
    }

    fn own_proposal(
        &mut self,
        decision: Decision,
        view: View,
        id: Digest,
        polka: Option<Certificate>,
    ) -> Option<(Body, Signature)> {
        let value = self.round.values.get(&id)?.clone();
        let justification = match (&value, &polka) {
            (Value::Aggregate { .. }, None) => Some(self.certifiable()?.1),
            _ => None,
        };
        let polka_view = polka.as_ref().map(|polka| polka.view);
        let body = Body::Proposal(Box::new(Proposal { view, value, polka, justification }));
        let signature = self.sign(self.round.number, &body)?;
        self.round.vote_on_mut(decision).on_proposal(view, id, polka_view);
        self.round.proposed.insert(decision, (view, body.clone(), signature));
        Some((body, signature))
    }

    fn set_view_timer(&mut self, wait: Wait, view: View) {
        let base = self.config.manifest.manifest().deadlines.view_ms;
        // A proposal may need a new sum; votes only travel.
        let step = match wait {
            Wait::Proposal => base,
            Wait::Prevotes | Wait::Precommits => base / 4,
        };
        let ms = step.max(1).saturating_mul(u64::from(view.0).saturating_add(1));
        self.set_timer(TimerId::View, ms);
    }

    pub(crate) fn view_timeout(&mut self) {
        if let Some((decision, _)) = self.round.voting() {
            self.round.vote_on_mut(decision).timeout();
        }
    }

    /// The values of a decision whose content is here.
    pub(super) fn known_values(&self, decision: Decision) -> BTreeSet<Digest> {
        let of_decision =
            |(id, value): (&Digest, &Value)| (value.decision() == decision).then_some(*id);
        self.round.values.iter().filter_map(of_decision).collect()
    }

    pub(super) fn take_vote(&mut self, sender: MemberIndex, vote: &Vote, signature: Signature) {
        let conflict = self.round.vote_on_mut(vote.decision).vote(sender, vote, signature);
        if let Some(conflict) = conflict {
            let round = self.round.number;
            let evidence = Evidence::votes(sender, round, conflict.first, conflict.second);
            self.ban(&evidence, "two different votes in one view");
        }
    }

    pub(super) fn take_proposal(
        &mut self,
        sender: MemberIndex,
        proposal: Proposal,
        signature: Signature,
    ) {
        let (view, decision) = (proposal.view, proposal.value.decision());
        if self.round.election.proposer(view) != sender {
            return self.dropped("proposal: not by the proposer");
        }
        let current = self.round.vote_on(decision).view();
        if view < current || view.0 > current.0.saturating_add(VIEW_WINDOW) {
            return self.dropped("proposal: far from this view");
        }
        let body = Body::Proposal(Box::new(proposal.clone()));
        match self.round.offered.get(&(decision, view)).cloned() {
            Some(first) => {
                let same = matches!(&first.0, Body::Proposal(p) if p.value == proposal.value);
                if !same {
                    self.equivocated(sender, first, (body, signature));
                }
                return;
            }
            None => self.forget_proposals(decision),
        }
        if let Value::Aggregate { set, .. } = &proposal.value
            && let Err(error) = self.config.rules().check_set(sender, set)
        {
            return self.too_small(&error, (body, signature));
        }
        if !self.is_well_founded(&proposal) {
            return self.dropped("proposal: not valid by what it carries");
        }
        if let Some(justification) = &proposal.justification {
            self.take_reports(&justification.bundle);
        }
        let id = proposal.value.id();
        self.round.offered.insert((decision, view), (body, signature));
        self.round.values.entry(id).or_insert(proposal.value);
        if proposal.justification.is_some() {
            self.round.justified.insert(id);
        }
        let polka = proposal.polka.map(|polka| polka.view);
        self.round.vote_on_mut(decision).on_proposal(view, id, polka);
    }

    /// Proposals of views that are over make room, and with them the values that only they name: each proposer has one place
    /// for each of its views in the window, whatever the others have proposed.
    fn forget_proposals(&mut self, decision: Decision) {
        let round = &mut self.round;
        let current = round.vote_on(decision).view();
        round.offered.retain(|(of, view), _| *of != decision || view.next() >= current);
        let mut named: BTreeSet<Digest> = [Value::Skip.id(), Value::Void.id()].into();
        for (body, _) in round.offered.values() {
            if let Body::Proposal(proposal) = body {
                named.insert(proposal.value.id());
            }
        }
        for vote in [&round.set_vote, &round.outcome_vote] {
            let state = vote.state();
            let bound = [state.locked.as_ref(), state.valid.as_ref(), vote.decided()];
            named.extend(bound.into_iter().flatten().map(|certificate| certificate.value));
        }
        for (_, body, _) in round.proposed.values() {
            if let Body::Proposal(proposal) = body {
                named.insert(proposal.value.id());
            }
        }
        round.values.retain(|id, _| named.contains(id));
        round.justified.retain(|id| named.contains(id));
    }

    /// Whether polka and justification, as far as there are any, hold; an aggregate needs one of them.
    fn is_well_founded(&self, proposal: &Proposal) -> bool {
        let roster = self.config.roster();
        let backed = match &proposal.polka {
            None => false,
            Some(polka) => {
                let matches = polka.kind == VoteKind::Prevote
                    && polka.decision == proposal.value.decision()
                    && polka.value == proposal.value.id()
                    && polka.view < proposal.view;
                if !matches || !polka.is_valid(&roster, self.round.number) {
                    return false;
                }
                true
            }
        };
        match (&proposal.value, &proposal.justification) {
            (Value::Aggregate { set, aggregate }, Some(justification)) => {
                self.is_justified(set, aggregate, justification)
            }
            (Value::Aggregate { .. }, None) => backed,
            (_, justification) => justification.is_none(),
        }
    }

    pub(super) fn take_decided(&mut self, decided: Decided) {
        let decision = decided.value.decision();
        if self.round.vote_on(decision).decided().is_some() {
            return;
        }
        if !certifies(&decided.certificate, &decided.value)
            || !decided.certificate.is_valid(&self.config.roster(), self.round.number)
        {
            return self.dropped("decided: the certificate is wrong");
        }
        self.round.values.insert(decided.value.id(), decided.value);
        self.round.vote_on_mut(decision).adopt(decided.certificate);
    }
}
