//! One decision: single-shot BFT with rotating proposers and locks.
//!
//! Buchman, Kwon, Milosevic: The latest gossip on BFT consensus (arXiv:1807.04938), algorithm 1;
//! "L22" in a comment is line 22 there. Their round is a view here and their height a decision.
//! Three things differ, all for networks that lose messages and hosts that restart: a proposal that
//! refers to an earlier view carries the prevotes of that view; a member that leaves a view in
//! which it has not voted votes nil in it, so that nobody waits for it there; and everything that
//! binds (`VotingState`) is handed out to be persisted before a vote is sent.
//!
//! This module knows digests, not values: whether a value is known and valid is the caller's
//! [`ValueValidity`].

use std::collections::{BTreeMap, VecDeque};

use super::ValueValidity;
use super::ballots::Ballots;
use crate::election::Election;
use crate::ids::{MemberIndex, ValueDigest, View};
use crate::limits::VIEW_WINDOW;
use crate::manifest::Rules;
use crate::sign::Signature;
use crate::wire::journal::VotingState;
use crate::wire::{Certificate, Decision, Vote, VoteKind};

/// What a view waits for, and for how long at most; the caller turns it into a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// timeoutPropose.
    Proposal,
    /// timeoutPrevote.
    Prevotes,
    /// timeoutPrecommit.
    Precommits,
}

/// The next step of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Persist the state, then send this vote, and count it here too ([`Agreement::vote`]).
    Vote(Vote),
    /// Persist the state, then send this proposal, and count it here too
    /// ([`Agreement::on_proposal`]).
    Propose {
        /// Its view.
        view: View,
        /// The digest of the proposed value.
        value: ValueDigest,
        /// The prevotes of an earlier view that back it.
        polka: Option<Certificate>,
    },
    /// Set the timer; [`Agreement::timeout`] when it runs out.
    Timer(Wait, View),
    /// A value is decided, see [`Agreement::decided`].
    Decide,
}

/// Two different votes of one member in one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The vote that counts.
    pub first: (Vote, Signature),
    /// The later vote.
    pub second: (Vote, Signature),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ReceivedProposal {
    pub(super) value: ValueDigest,
    pub(super) polka: Option<View>,
}

/// One decision at one member.
#[derive(Debug, Clone)]
pub(crate) struct Agreement {
    pub(super) decision: Decision,
    pub(super) me: MemberIndex,
    pub(super) quorum: usize,
    pub(super) honest_threshold: usize,
    pub(super) state: VotingState,
    pub(super) started: bool,
    pub(super) timer: Option<Wait>,
    pub(super) expired: bool,
    pub(super) proposals: BTreeMap<View, ReceivedProposal>,
    pub(super) ballots: BTreeMap<View, Ballots>,
    pub(super) highest: BTreeMap<MemberIndex, View>,
    pub(super) queue: VecDeque<Action>,
    pub(super) decided: Option<Certificate>,
}

impl Agreement {
    /// A decision that `me` has not voted in, or, with a state from the journal, goes on with.
    #[must_use]
    pub(crate) fn new(
        decision: Decision,
        me: MemberIndex,
        rules: &Rules,
        state: VotingState,
    ) -> Self {
        Self {
            decision,
            me,
            quorum: usize::from(rules.quorum),
            honest_threshold: usize::from(rules.honest_threshold()),
            state,
            started: false,
            timer: None,
            expired: false,
            proposals: BTreeMap::new(),
            ballots: BTreeMap::new(),
            highest: BTreeMap::new(),
            queue: VecDeque::new(),
            decided: None,
        }
    }

    /// L10: takes part from now on; votes that came before count.
    pub(crate) fn start(&mut self) {
        if !self.started {
            self.started = true;
            self.wait_for(Wait::Proposal);
        }
    }

    /// Whether f + 1 members have voted, so that an honest one has reached a point at which it
    /// votes.
    #[must_use]
    pub(crate) fn is_in_progress(&self) -> bool {
        self.highest.len() >= self.honest_threshold
    }

    /// Whether it has started.
    #[must_use]
    pub(crate) const fn is_started(&self) -> bool {
        self.started
    }

    /// The current view.
    #[must_use]
    pub(crate) const fn view(&self) -> View {
        self.state.view
    }

    /// The state to be persisted before a vote is sent.
    #[must_use]
    pub(crate) const fn state(&self) -> &VotingState {
        &self.state
    }

    /// The decision, once there is one.
    #[must_use]
    pub(crate) const fn decided(&self) -> Option<&Certificate> {
        self.decided.as_ref()
    }

    /// Whether there is nothing to do yet: it has not started here, and no vote has arrived.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        !self.started && self.ballots.is_empty() && self.queue.is_empty() && self.decided.is_none()
    }

    /// Whether a value is decided and the caller has polled the decision.
    #[must_use]
    pub(crate) fn is_settled(&self) -> bool {
        self.decided.is_some() && self.queue.is_empty()
    }

    /// Whether the proposal of the current view is here.
    #[must_use]
    pub(crate) fn has_proposal(&self) -> bool {
        self.proposals.contains_key(&self.state.view)
    }

    /// Whose votes of a kind are here, for the current view.
    #[must_use]
    pub(crate) fn voters(&self, kind: VoteKind) -> Vec<MemberIndex> {
        self.ballots.get(&self.state.view).map(|b| b.voters(kind).collect()).unwrap_or_default()
    }

    /// The votes of a member that are here, with its signatures.
    pub(crate) fn votes_of(
        &self,
        member: MemberIndex,
    ) -> impl Iterator<Item = (Vote, Signature)> + '_ {
        self.ballots.iter().flat_map(move |(view, ballots)| {
            ballots.votes_of(member).map(move |(kind, value, signature)| {
                (Vote { decision: self.decision, kind, view: *view, value }, signature)
            })
        })
    }

    /// Whether this member has cast `vote`, or one that is too old for its journal to name.
    #[must_use]
    pub(crate) fn has_cast(&self, vote: &Vote) -> bool {
        vote.view.next() < self.state.view
            || self.state.cast.get(&(vote.view, vote.kind)) == Some(&vote.value)
    }

    /// The votes cast in this view and the one before, to send them again.
    pub(crate) fn cast(&self) -> impl Iterator<Item = Vote> + '_ {
        self.state.cast.iter().map(|((view, kind), value)| Vote {
            decision: self.decision,
            kind: *kind,
            view: *view,
            value: *value,
        })
    }

    /// The proposal of a view by its proposer; `polka` is the view of the (checked) prevotes it
    /// carries. The first one counts. Returns whether it was kept.
    pub(crate) fn on_proposal(
        &mut self,
        view: View,
        value: ValueDigest,
        polka: Option<View>,
    ) -> bool {
        let wanted = self.in_window(view) && !self.proposals.contains_key(&view);
        if wanted && polka.is_none_or(|polka| polka < view) {
            self.proposals.insert(view, ReceivedProposal { value, polka });
        }
        wanted
    }

    /// A vote whose signature has been checked. Two different ones by one member are a
    /// [`Conflict`].
    pub(crate) fn vote(
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
    pub(crate) fn adopt(&mut self, certificate: Certificate) {
        if self.decided.is_none() {
            self.decided = Some(certificate);
            self.queue.clear();
            self.queue.push_back(Action::Decide);
        }
    }

    /// The timer has expired.
    pub(crate) fn timeout(&mut self) {
        self.expired = self.timer.is_some();
    }

    /// The proposer of this view is absent, which counts like an expired timer for its proposal.
    /// Once a quorum has precommitted nil, so that the view can decide nothing any more, it counts
    /// like an expired timer for the precommits too.
    pub(crate) fn give_up_on_proposer(&mut self) {
        let given_up = match self.timer {
            Some(Wait::Proposal) => !self.has_proposal(),
            Some(Wait::Precommits) => {
                let ballots = self.ballots.get(&self.state.view);
                ballots.is_some_and(|b| b.count_nil(VoteKind::Precommit) >= self.quorum)
            }
            _ => false,
        };
        self.expired |= given_up;
    }

    /// No value can reach a quorum any more with the votes that the rest of the `member_count`
    /// members can still cast, which counts like an expired timer. The first vote of a member
    /// counts here, so waiting longer would change nothing.
    pub(crate) fn give_up_on_votes(&mut self, member_count: usize) {
        let kind = match self.timer {
            Some(Wait::Prevotes) => VoteKind::Prevote,
            Some(Wait::Precommits) => VoteKind::Precommit,
            _ => return,
        };
        let Some(ballots) = self.ballots.get(&self.state.view) else { return };
        let to_come = member_count.saturating_sub(ballots.count(kind));
        self.expired |= ballots.most(kind).saturating_add(to_come) < self.quorum;
    }

    /// The next thing to do; call until `None` after every change.
    pub(crate) fn poll(&mut self, election: &Election, validity: &ValueValidity) -> Option<Action> {
        if self.queue.is_empty() {
            self.advance(election, validity);
        }
        self.queue.pop_front()
    }

    fn in_window(&self, view: View) -> bool {
        let current = self.state.view.0;
        view.0.saturating_add(1) >= current && view.0 <= current.saturating_add(VIEW_WINDOW)
    }
}

#[cfg(test)]
mod tests;
