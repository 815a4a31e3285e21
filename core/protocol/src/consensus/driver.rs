//! One decision of the round at this member: it connects messages, the agreement and the journal.
//! Which values there are and when they are valid is defined by the two decisions ([`Judge`]).

use std::collections::BTreeSet;

use super::proposals::Proposals;
use super::{Action, Agreement, Judge, Values, Wait};
use crate::context::Cx;
use crate::event::TimerId;
use crate::ids::{MemberIndex, ValueDigest, View};
use crate::ledger::certifies;
use crate::members::Members;
use crate::sign::Signature;
use crate::wire::evidence::Evidence;
use crate::wire::journal::{Note, VotingState};
use crate::wire::{Body, Certificate, Decided, Decision, Proposal, Value, Vote, VoteKind};

/// See the head of this file.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    decision: Decision,
    agreement: Agreement,
    values: Values,
    /// This member's own last proposal.
    proposed: Option<(View, Body, Signature)>,
    /// The first proposal of each view, to notice a second.
    proposals: Proposals,
    /// The decision is in the journal.
    is_kept: bool,
}

impl Driver {
    pub(crate) fn new(cx: &Cx, decision: Decision) -> Self {
        let nothing = match decision {
            Decision::Set => Value::Skip,
            Decision::Outcome => Value::Void,
        };
        let state = VotingState::default();
        Self {
            decision,
            agreement: Agreement::new(decision, cx.me(), cx.config.rules(), state),
            values: Values::new(nothing),
            proposed: None,
            proposals: Proposals::default(),
            is_kept: false,
        }
    }

    pub(crate) const fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    pub(crate) const fn values(&self) -> &Values {
        &self.values
    }

    /// The proposals that are here, by view.
    pub(crate) fn proposals(&self) -> impl Iterator<Item = (View, &Proposal)> {
        self.proposals.iter()
    }

    /// The view that this member votes in; `None` before it takes part and once there is a
    /// decision.
    pub(crate) fn voting_view(&self) -> Option<View> {
        let votes = self.agreement.is_started() && self.agreement.decided().is_none();
        votes.then(|| self.agreement.view())
    }

    /// The decision with its certificate.
    pub(crate) fn decided(&self) -> Option<Decided> {
        let certificate = self.agreement.decided()?.clone();
        let value = self.values.get(&certificate.value)?.clone();
        Some(Decided { value, certificate })
    }

    /// Takes part from now on.
    pub(crate) fn start(&mut self) {
        self.agreement.start();
    }

    /// The view's timer has expired.
    pub(crate) fn timeout(&mut self) {
        self.agreement.timeout();
    }

    /// Votes as long as a vote is possible. The voting state is persisted before anything is sent.
    pub(crate) fn advance(&mut self, cx: &mut Cx, members: &Members, judge: &mut dyn Judge) {
        if self.agreement.is_idle() {
            return;
        }
        let mut messages = Vec::new();
        loop {
            let proposer = cx.election.proposer(self.agreement.view());
            if members.is_absent(proposer) || members.is_banned(proposer) {
                self.agreement.give_up_on_proposer();
            }
            self.agreement.give_up_on_votes(usize::from(cx.config.rules().member_count));
            let validity = judge.validity(cx, &mut self.values);
            let Some(action) = self.agreement.poll(&cx.election, &validity) else { break };
            match action {
                Action::Vote(vote) => {
                    let signature = self.count_own_vote(cx, &vote);
                    messages.extend(signature.map(|signature| (Body::Vote(vote), signature)));
                }
                Action::Propose { view, value, polka } => {
                    messages.extend(self.propose(cx, judge, view, (value, polka)));
                }
                Action::Timer(wait, view) => set_view_timer(cx, wait, view),
                Action::Decide => self.keep_decision(cx, judge),
            }
        }
        if !messages.is_empty() && self.persist_votes(cx) {
            for (body, signature) in messages {
                cx.broadcast_signed(body, signature);
            }
        }
    }

    fn propose(
        &mut self,
        cx: &mut Cx,
        judge: &dyn Judge,
        view: View,
        (id, polka): (ValueDigest, Option<Certificate>),
    ) -> Option<(Body, Signature)> {
        let value = self.values.get(&id)?.clone();
        let justification = match (&value, &polka) {
            (Value::Aggregate { .. }, None) => Some(judge.justification(cx)?),
            _ => None,
        };
        let polka_view = polka.as_ref().map(|polka| polka.view);
        let body = Body::Proposal(Box::new(Proposal { view, value, polka, justification }));
        let signature = cx.sign(cx.round(), &body)?;
        self.agreement.on_proposal(view, id, polka_view);
        self.proposed = Some((view, body.clone(), signature));
        Some((body, signature))
    }

    /// Sends this member's own proposal of `view` again.
    pub(crate) fn propose_again(&self, cx: &mut Cx, to: MemberIndex, view: View) {
        if let Some((_, body, signature)) = self.proposed.as_ref().filter(|(at, ..)| *at == view) {
            cx.forward(to, cx.me(), body.clone(), *signature);
        }
    }

    fn persist_votes(&self, cx: &mut Cx) -> bool {
        let state = self.agreement.state().clone();
        let named: BTreeSet<ValueDigest> =
            [&state.locked, &state.valid].into_iter().flatten().map(|c| c.value).collect();
        let values = named.iter().filter_map(|id| self.values.get(id)).cloned().collect();
        cx.persist(Note::Voting { decision: self.decision, state, values })
    }

    /// Counts a vote of this member, fresh or from the journal.
    fn count_own_vote(&mut self, cx: &mut Cx, vote: &Vote) -> Option<Signature> {
        let signature = cx.sign(cx.round(), &Body::Vote(*vote))?;
        self.agreement.vote(cx.me(), vote, signature);
        Some(signature)
    }

    /// Persists the decision before anything follows from it.
    fn keep_decision(&mut self, cx: &mut Cx, judge: &mut dyn Judge) {
        if core::mem::replace(&mut self.is_kept, true) {
            return;
        }
        if let Some(decided) = self.decided() {
            judge.before_accepting(cx, &decided.value);
            // If it could not be persisted, the certificate can be fetched again from any member.
            let _ = cx.persist(Note::Decided(Box::new(decided)));
        }
    }

    /// Restores view, votes and locks from the journal.
    pub(crate) fn recall_votes(&mut self, cx: &Cx, state: VotingState, values: Vec<Value>) {
        let mut agreement = Agreement::new(self.decision, cx.me(), cx.config.rules(), state);
        // The votes that made a decision may have been written after it.
        let decided = self.agreement.decided().cloned();
        decided.into_iter().for_each(|certificate| agreement.adopt(certificate));
        self.agreement = agreement;
        for value in values {
            self.values.insert(value);
        }
    }

    /// Restores the decision from the journal.
    pub(crate) fn recall_decision(&mut self, decided: Decided) {
        self.is_kept = true;
        self.values.insert(decided.value);
        self.agreement.adopt(decided.certificate);
    }

    /// Counts this member's own votes from the journal again after a restart.
    pub(crate) fn resume(&mut self, cx: &mut Cx) {
        let votes: Vec<_> = self.agreement.cast().collect();
        for vote in votes {
            self.count_own_vote(cx, &vote);
        }
    }

    pub(crate) fn on_vote(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        vote: &Vote,
        signature: Signature,
    ) {
        if let Some(conflict) = self.agreement.vote(sender, vote, signature) {
            let evidence = Evidence::votes(sender, cx.round(), conflict.first, conflict.second);
            cx.accuse_because(evidence, "two different votes in one view".into());
        }
    }

    /// Whether a proposal may count, see [`Proposals::admits`]. Makes room for it if so.
    pub(crate) fn admits(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        proposal: &Proposal,
        signature: Signature,
    ) -> bool {
        let current = self.agreement.view();
        let admits = self.proposals.admits(cx, current, (sender, proposal, signature));
        if admits {
            self.forget_proposals();
        }
        admits
    }

    /// Drops the proposals of views that are over, and with them the values that only they name:
    /// each proposer has one place for each of its views in the window, whatever the others have
    /// proposed.
    fn forget_proposals(&mut self) {
        let current = self.agreement.view();
        self.proposals.forget_before(current);
        let mut named: BTreeSet<ValueDigest> = [Value::Skip.id(), Value::Void.id()].into();
        named.extend(self.proposals.iter().map(|(_, proposal)| proposal.value.id()));
        let state = self.agreement.state();
        let bound = [state.locked.as_ref(), state.valid.as_ref(), self.agreement.decided()];
        named.extend(bound.into_iter().flatten().map(|certificate| certificate.value));
        if let Some((_, Body::Proposal(proposal), _)) = &self.proposed {
            named.insert(proposal.value.id());
        }
        self.values.retain(&named);
    }

    /// Whether the prevotes that a proposal carries make its value valid; `None` if it carries some
    /// and they do not.
    pub(crate) fn polka(cx: &Cx, proposal: &Proposal) -> Option<bool> {
        let Some(polka) = &proposal.polka else { return Some(false) };
        let matches = polka.kind == VoteKind::Prevote
            && polka.decision == proposal.value.decision()
            && polka.value == proposal.value.id()
            && polka.view < proposal.view;
        (matches && polka.is_valid(&cx.config.roster(), cx.round())).then_some(true)
    }

    /// Counts a proposal that has been checked.
    pub(crate) fn on_proposal(&mut self, proposal: Proposal, signature: Signature) {
        let view = proposal.view;
        self.proposals.insert(proposal.clone(), signature);
        let id = self.values.insert(proposal.value);
        if proposal.justification.is_some() {
            self.values.justify(id);
        }
        self.agreement.on_proposal(view, id, proposal.polka.map(|polka| polka.view));
    }

    /// A decision that others have made, with its certificate.
    pub(crate) fn on_decided(&mut self, cx: &mut Cx, decided: Decided) {
        if self.agreement.decided().is_some() {
            return;
        }
        if !certifies(&decided.certificate, &decided.value)
            || !decided.certificate.is_valid(&cx.config.roster(), cx.round())
        {
            return cx.dropped("decided: the certificate is wrong");
        }
        self.values.insert(decided.value);
        self.agreement.adopt(decided.certificate);
    }
}

fn set_view_timer(cx: &mut Cx, wait: Wait, view: View) {
    let base = cx.config.manifest.manifest().deadlines.view_ms;
    // A proposal may need a new sum; votes only travel.
    let step = match wait {
        Wait::Proposal => base,
        Wait::Prevotes | Wait::Precommits => base / 4,
    };
    let ms = step.max(1).saturating_mul(u64::from(view.0).saturating_add(1));
    cx.set_timer(TimerId::View, ms);
}
