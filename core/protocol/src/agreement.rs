//! One decision: single-shot BFT with rotating proposers and locks.
//!
//! Buchman, Kwon, Milosevic: The latest gossip on BFT consensus (arXiv:1807.04938), algorithm 1; "L22" in a comment is
//! line 22 there. Their round is a view here and their height a decision. Three things differ, all for networks that
//! lose messages and hosts that restart: a proposal that refers to an earlier view carries the prevotes of that view;
//! a member that leaves a view in which it has not voted votes nil in it, so that nobody waits for it there; and
//! everything that binds (`VotingState`) is handed out to be persisted before a vote is sent.
//!
//! This module knows digests, not values: whether a value is known and valid is the caller's [`Opinion`].

mod ballots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::election::Election;
use crate::ids::{Digest, MemberIndex, View};
use crate::limits::VIEW_WINDOW;
use crate::manifest::Rules;
use crate::message::{Decision, Vote, VoteKind};
use crate::sign::Signature;
use ballots::Ballots;

/// What the caller thinks of values at the moment.
#[derive(Debug, Clone, Default)]
pub struct Opinion {
    /// Values whose content is here.
    pub known: BTreeSet<Digest>,
    /// Values that are valid for this member.
    pub valid: BTreeSet<Digest>,
    /// Values that are valid once a quorum has prevoted for them.
    pub valid_if_backed: BTreeSet<Digest>,
    /// What this member would propose.
    pub candidate: Option<Digest>,
}

impl Opinion {
    fn accepts(&self, value: &Digest, backed: bool) -> bool {
        self.known.contains(value)
            && (self.valid.contains(value) || backed && self.valid_if_backed.contains(value))
    }
}

/// What a member must not contradict after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VotingState {
    /// The current view, round_p of the paper.
    pub view: View,
    /// Votes cast in this view and the one before.
    pub cast: BTreeMap<(View, VoteKind), Option<Digest>>,
    /// lockedValue and lockedRound, with the prevotes that locked.
    pub locked: Option<Certificate>,
    /// validValue and validRound, with the prevotes.
    pub valid: Option<Certificate>,
    /// The last view in which this member proposed.
    pub proposed: Option<View>,
}

/// What to wait for at most how long; the caller turns it into a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// timeoutPropose.
    Proposal,
    /// timeoutPrevote.
    Prevotes,
    /// timeoutPrecommit.
    Precommits,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Persist the state, then say this, to oneself as well ([`Agreement::vote`]).
    Vote(Vote),
    /// Persist the state, then propose this, to oneself as well ([`Agreement::offer`]).
    Propose {
        /// In which view.
        view: View,
        /// What.
        value: Digest,
        /// The prevotes of an earlier view that back it.
        polka: Option<Certificate>,
    },
    /// Set the timer; [`Agreement::timeout`] when it runs out.
    Timer(Wait, View),
    /// It is decided, see [`Agreement::decided`].
    Decide,
}

/// Two different votes of one member in one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The one that counts.
    pub first: (Vote, Signature),
    /// The other.
    pub second: (Vote, Signature),
}

#[derive(Debug, Clone, Copy)]
struct Offer {
    value: Digest,
    polka: Option<View>,
}

/// One decision at one member.
#[derive(Debug, Clone)]
pub struct Agreement {
    decision: Decision,
    me: MemberIndex,
    quorum: usize,
    one_honest: usize,
    state: VotingState,
    started: bool,
    timer: Option<Wait>,
    expired: bool,
    offers: BTreeMap<View, Offer>,
    ballots: BTreeMap<View, Ballots>,
    highest: BTreeMap<MemberIndex, View>,
    queue: VecDeque<Action>,
    decided: Option<Certificate>,
}

impl Agreement {
    /// A decision that `me` has not voted in, or, with a state from the journal, goes on with.
    #[must_use]
    pub fn new(decision: Decision, me: MemberIndex, rules: &Rules, state: VotingState) -> Self {
        Self {
            decision,
            me,
            quorum: usize::from(rules.quorum),
            one_honest: usize::from(rules.one_honest()),
            state,
            started: false,
            timer: None,
            expired: false,
            offers: BTreeMap::new(),
            ballots: BTreeMap::new(),
            highest: BTreeMap::new(),
            queue: VecDeque::new(),
            decided: None,
        }
    }

    /// L10: takes part from now on; votes that came before count.
    pub fn start(&mut self) {
        if !self.started {
            self.started = true;
            self.wait_for(Wait::Proposal);
        }
    }

    /// Whether it has started.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// The current view.
    #[must_use]
    pub const fn view(&self) -> View {
        self.state.view
    }

    /// What must be persisted.
    #[must_use]
    pub const fn state(&self) -> &VotingState {
        &self.state
    }

    /// The decision, once there is one.
    #[must_use]
    pub const fn decided(&self) -> Option<&Certificate> {
        self.decided.as_ref()
    }

    /// Whether there is a decision and the caller has been told.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.decided.is_some() && self.queue.is_empty()
    }

    /// Whether the proposal of the current view is here.
    #[must_use]
    pub fn has_offer(&self) -> bool {
        self.offers.contains_key(&self.state.view)
    }

    /// Whose votes of a kind are here, for the current view.
    #[must_use]
    pub fn voters(&self, kind: VoteKind) -> Vec<MemberIndex> {
        self.ballots.get(&self.state.view).map(|b| b.voters(kind).collect()).unwrap_or_default()
    }

    /// The votes cast in this view and the one before, to say them again.
    pub fn cast(&self) -> impl Iterator<Item = Vote> + '_ {
        self.state.cast.iter().map(|((view, kind), value)| Vote {
            decision: self.decision,
            kind: *kind,
            view: *view,
            value: *value,
        })
    }

    /// The proposal of a view by its proposer; `polka` is the view of the (checked) prevotes it carries.
    /// The first one counts. Returns whether it was kept.
    pub fn offer(&mut self, view: View, value: Digest, polka: Option<View>) -> bool {
        let wanted = self.in_window(view) && !self.offers.contains_key(&view);
        if wanted && polka.is_none_or(|polka| polka < view) {
            self.offers.insert(view, Offer { value, polka });
        }
        wanted
    }

    /// A vote whose signature has been checked. Two different ones by one member are a [`Conflict`].
    pub fn vote(
        &mut self,
        member: MemberIndex,
        vote: &Vote,
        signature: Signature,
    ) -> Option<Conflict> {
        let highest = self.highest.entry(member).or_default();
        *highest = (*highest).max(vote.view);
        if !self.in_window(vote.view) {
            return None;
        }
        let ballots = self.ballots.entry(vote.view).or_default();
        let (value, first) = ballots.add(vote.kind, member, vote.value, signature)?;
        Some(Conflict { first: (Vote { value, ..*vote }, first), second: (*vote, signature) })
    }

    /// A decision made elsewhere, its certificate checked.
    pub fn adopt(&mut self, certificate: Certificate) {
        if self.decided.is_none() {
            self.decided = Some(certificate);
            self.queue.clear();
            self.queue.push_back(Action::Decide);
        }
    }

    /// The timer ran out.
    pub fn timeout(&mut self) {
        self.expired = self.timer.is_some();
    }

    /// The next thing to do; call until `None` after every change.
    pub fn poll(&mut self, election: &Election, opinion: &Opinion) -> Option<Action> {
        if self.queue.is_empty() {
            self.advance(election, opinion);
        }
        self.queue.pop_front()
    }

    fn advance(&mut self, election: &Election, opinion: &Opinion) {
        if self.decided.is_some() {
            return;
        }
        if let Some(certificate) = self.find_decision(opinion) {
            return self.adopt(certificate);
        }
        if !self.started {
            return;
        }
        // L55: one honest member at least is in a later view.
        if let Some(view) = self.later_view() {
            return self.enter(view);
        }
        if self.propose(election, opinion) || self.prevote(opinion) || self.precommit(opinion) {
            return;
        }
        self.watch_precommits();
    }

    /// L49: a quorum of precommits for a known value, in whichever view. Valid, because honest members signed it.
    fn find_decision(&self, opinion: &Opinion) -> Option<Certificate> {
        self.ballots.iter().find_map(|(view, ballots)| {
            let value = ballots.quorum(VoteKind::Precommit, self.quorum)?;
            opinion
                .known
                .contains(&value)
                .then(|| self.certificate(ballots, VoteKind::Precommit, *view, value))
        })
    }

    /// L14 to L19.
    fn propose(&mut self, election: &Election, opinion: &Opinion) -> bool {
        let view = self.state.view;
        if election.proposer(view) != self.me
            || self.state.proposed >= Some(view)
            || self.prevoted()
        {
            return false;
        }
        let polka = self.state.valid.clone().filter(|valid| opinion.known.contains(&valid.value));
        let Some(value) = polka.as_ref().map(|p| p.value).or(opinion.candidate) else {
            return false;
        };
        self.state.proposed = Some(view);
        self.queue.push_back(Action::Propose { view, value, polka });
        true
    }

    /// L22 to L33, L57 to L60. A proposal that is not valid yet may become so: nil only when the timer has run out, or
    /// when a lock rules it out.
    fn prevote(&mut self, opinion: &Opinion) -> bool {
        if self.prevoted() {
            return false;
        }
        if let Some(offer) = self.offers.get(&self.state.view).copied() {
            let locked = self.state.locked.as_ref();
            let free = locked.is_none_or(|lock| {
                lock.value == offer.value || offer.polka.is_some_and(|polka| lock.view <= polka)
            });
            if !free {
                return self.cast_vote(VoteKind::Prevote, None);
            }
            if opinion.accepts(&offer.value, offer.polka.is_some()) {
                return self.cast_vote(VoteKind::Prevote, Some(offer.value));
            }
        }
        if self.timer == Some(Wait::Proposal) && self.expired {
            return self.cast_vote(VoteKind::Prevote, None);
        }
        false
    }

    /// L34 to L46, L61 to L64.
    fn precommit(&mut self, opinion: &Opinion) -> bool {
        let view = self.state.view;
        let Some(ballots) = self.ballots.get(&view).filter(|_| self.prevoted()) else {
            return false;
        };
        let polka = ballots
            .quorum(VoteKind::Prevote, self.quorum)
            .filter(|value| opinion.accepts(value, true))
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

    /// L11. Votes nil in the view before where this member has not voted: a quorum may be waiting for it there.
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
        self.offers.retain(|v, _| *v >= before);
        self.wait_for(Wait::Proposal);
    }

    fn cast_vote(&mut self, kind: VoteKind, value: Option<Digest>) -> bool {
        let view = self.state.view;
        self.state.cast.insert((view, kind), value);
        if self.timer != Some(Wait::Precommits) {
            self.timer = None;
            self.expired = false;
        }
        self.queue.push_back(Action::Vote(Vote { decision: self.decision, kind, view, value }));
        true
    }

    fn wait_for(&mut self, wait: Wait) {
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

    fn in_window(&self, view: View) -> bool {
        let current = self.state.view.0;
        view.0.saturating_add(1) >= current && view.0 <= current.saturating_add(VIEW_WINDOW)
    }

    /// The highest later view that f + 1 members have reached.
    fn later_view(&self) -> Option<View> {
        let mut views: Vec<View> = self.highest.values().copied().collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        let reached = views.get(self.one_honest.checked_sub(1)?)?;
        (*reached > self.state.view).then_some(*reached)
    }

    fn certificate(
        &self,
        ballots: &Ballots,
        kind: VoteKind,
        view: View,
        value: Digest,
    ) -> Certificate {
        let votes = ballots.votes_for(kind, value).collect();
        Certificate { decision: self.decision, kind, view, value, votes }
    }
}

#[cfg(test)]
mod tests;
