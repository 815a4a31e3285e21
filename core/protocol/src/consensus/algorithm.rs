//! What a member does next: the paper's rules, one function each.

use super::ballots::Ballots;
use super::{Action, Agreement, ValueValidity, Wait};
use crate::election::Election;
use crate::ids::{ValueDigest, View};
use crate::wire::{Certificate, Vote, VoteKind};

impl Agreement {
    pub(super) fn advance(&mut self, election: &Election, validity: &ValueValidity) {
        if self.decided.is_some() {
            return;
        }
        if let Some(certificate) = self.find_decision(validity) {
            return self.adopt(certificate);
        }
        if !self.started {
            return;
        }
        // L55: one honest member at least is in a later view.
        if let Some(view) = self.later_view() {
            return self.enter(view);
        }
        if self.propose(election, validity) || self.prevote(validity) || self.precommit(validity) {
            return;
        }
        self.watch_precommits();
    }

    /// L49: a quorum of precommits for a known value, in whichever view. Valid, because honest
    /// members signed it.
    fn find_decision(&self, validity: &ValueValidity) -> Option<Certificate> {
        self.ballots.iter().find_map(|(view, ballots)| {
            let value = ballots.quorum(VoteKind::Precommit, self.quorum)?;
            validity
                .known
                .contains(&value)
                .then(|| self.certificate(ballots, VoteKind::Precommit, *view, value))
        })
    }

    /// L14 to L19.
    fn propose(&mut self, election: &Election, validity: &ValueValidity) -> bool {
        let view = self.state.view;
        if election.proposer(view) != self.me
            || self.state.proposed >= Some(view)
            || self.prevoted()
        {
            return false;
        }
        let polka = self.state.valid.clone().filter(|valid| validity.known.contains(&valid.value));
        let Some(value) = polka.as_ref().map(|p| p.value).or(validity.candidate) else {
            return false;
        };
        self.state.proposed = Some(view);
        self.queue.push_back(Action::Propose { view, value, polka });
        true
    }

    /// L22 to L33, L57 to L60. A proposal that is not valid yet may become so: nil only when the
    /// timer has run out, or when a lock rules it out.
    fn prevote(&mut self, validity: &ValueValidity) -> bool {
        if self.prevoted() {
            return false;
        }
        if let Some(proposal) = self.proposals.get(&self.state.view).copied() {
            let locked = self.state.locked.as_ref();
            let free = locked.is_none_or(|lock| {
                lock.value == proposal.value
                    || proposal.polka.is_some_and(|polka| lock.view <= polka)
            });
            if !free {
                return self.cast_vote(VoteKind::Prevote, None);
            }
            if validity.accepts(&proposal.value, proposal.polka.is_some()) {
                return self.cast_vote(VoteKind::Prevote, Some(proposal.value));
            }
        }
        if self.timer == Some(Wait::Proposal) && self.expired {
            return self.cast_vote(VoteKind::Prevote, None);
        }
        false
    }

    /// L34 to L46, L61 to L64.
    fn precommit(&mut self, validity: &ValueValidity) -> bool {
        let view = self.state.view;
        let Some(ballots) = self.ballots.get(&view).filter(|_| self.prevoted()) else {
            return false;
        };
        let polka = ballots
            .quorum(VoteKind::Prevote, self.quorum)
            .filter(|value| validity.accepts(value, true))
            .map(|value| self.certificate(ballots, VoteKind::Prevote, view, value));
        let against = ballots.count_nil(VoteKind::Prevote) >= self.quorum;
        let enough = ballots.count(VoteKind::Prevote) >= self.quorum;
        if self.precommitted() {
            // L42, L43 for those who have precommitted nil.
            if polka.is_some() && self.state.valid.as_ref().is_none_or(|valid| valid.view < view) {
                self.state.valid = polka;
            }
            return false;
        }
        if let Some(polka) = polka {
            let value = polka.value;
            self.state.locked = Some(polka.clone());
            self.state.valid = Some(polka);
            return self.cast_vote(VoteKind::Precommit, Some(value));
        }
        let waited = self.timer == Some(Wait::Prevotes) && self.expired;
        if against || waited {
            return self.cast_vote(VoteKind::Precommit, None);
        }
        if enough && !matches!(self.timer, Some(Wait::Prevotes | Wait::Precommits)) {
            self.wait_for(Wait::Prevotes);
            return true;
        }
        false
    }

    /// L47, L48, L65 to L67.
    fn watch_precommits(&mut self) {
        if self.timer == Some(Wait::Precommits) {
            if self.expired {
                self.enter(View(self.state.view.0.saturating_add(1)));
            }
            return;
        }
        let ballots = self.ballots.get(&self.state.view);
        if ballots.is_some_and(|b| b.count(VoteKind::Precommit) >= self.quorum) {
            self.wait_for(Wait::Precommits);
        }
    }

    /// L11. Votes nil in the view before where this member has not voted: a quorum may be waiting
    /// for it there.
    fn enter(&mut self, view: View) {
        let before = View(view.0.saturating_sub(1));
        self.state.view = before;
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            if !self.state.cast.contains_key(&(before, kind)) {
                self.cast_vote(kind, None);
            }
        }
        self.state.view = view;
        self.state.cast.retain(|(v, _), _| *v >= before);
        self.ballots.retain(|v, _| *v >= before);
        self.proposals.retain(|v, _| *v >= before);
        self.wait_for(Wait::Proposal);
    }

    fn cast_vote(&mut self, kind: VoteKind, value: Option<ValueDigest>) -> bool {
        let view = self.state.view;
        self.state.cast.insert((view, kind), value);
        if self.timer != Some(Wait::Precommits) {
            self.timer = None;
            self.expired = false;
        }
        self.queue.push_back(Action::Vote(Vote { decision: self.decision, kind, view, value }));
        true
    }

    pub(super) fn wait_for(&mut self, wait: Wait) {
        self.timer = Some(wait);
        self.expired = false;
        self.queue.push_back(Action::Timer(wait, self.state.view));
    }

    fn prevoted(&self) -> bool {
        self.state.cast.contains_key(&(self.state.view, VoteKind::Prevote))
    }

    fn precommitted(&self) -> bool {
        self.state.cast.contains_key(&(self.state.view, VoteKind::Precommit))
    }

    /// The highest later view that f + 1 members have reached.
    fn later_view(&self) -> Option<View> {
        let mut views: Vec<View> = self.highest.values().copied().collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        let reached = views.get(self.honest_threshold.checked_sub(1)?)?;
        (*reached > self.state.view).then_some(*reached)
    }

    fn certificate(
        &self,
        ballots: &Ballots,
        kind: VoteKind,
        view: View,
        value: ValueDigest,
    ) -> Certificate {
        let votes = ballots.votes_for(kind, value).collect();
        Certificate { decision: self.decision, kind, view, value, votes }
    }
}
