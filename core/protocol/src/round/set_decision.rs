//! certify: all members decide which set is opened, or that none is. A proposed aggregate of at
//! least `min_contributors` updates is valid by what the proposal carries: q reports from which its
//! set follows and f + 1 equal attestations. It never depends on what the voter has.

mod attestations;
mod sums;

pub(crate) use sums::Sums;

use super::collect::Collect;
use super::set_commitments::SetCommitments;
use crate::consensus::{Driver, Judge, ValueValidity, Values};
use crate::context::Cx;
use crate::event::TimerId;
use crate::ids::{MemberIndex, SetDigest, View};
use crate::members::Members;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::{Decided, Decision, Justification, Proposal, ReportBundle, UpdateSet, Value};

/// The decided set and its aggregate.
#[derive(Debug, Clone)]
pub(crate) struct DecidedSet {
    pub(crate) set: UpdateSet,
    pub(crate) aggregate: ObjectRef,
    /// Digest of the set.
    pub(crate) digest: SetDigest,
}

/// The first decision of the round.
#[derive(Debug, Clone)]
pub(crate) struct SetDecision {
    pub(crate) vote: Driver,
    pub(crate) sums: Sums,
    decided: Option<DecidedSet>,
}

impl SetDecision {
    pub(super) fn new(cx: &Cx) -> Self {
        Self { vote: Driver::new(cx, Decision::Set), sums: Sums::default(), decided: None }
    }

    /// Whether there has been a proposal, in this view or an earlier one.
    pub(super) fn has_been_proposed(&self) -> bool {
        let agreement = self.vote.agreement();
        agreement.has_proposal() || agreement.view() > View(0)
    }

    /// What is to be opened, once it is decided and this member has taken note of it.
    pub(crate) const fn decided(&self) -> Option<&DecidedSet> {
        self.decided.as_ref()
    }

    /// The decided set alone.
    pub(crate) fn decided_set(&self) -> Option<&UpdateSet> {
        self.decided.as_ref().map(|decided| &decided.set)
    }

    /// Proposes, adds and votes. A member that enters a view proposes in it at once, if it is its
    /// turn.
    pub(super) fn advance(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        collect: &Collect,
        set_commitments: &mut SetCommitments,
    ) {
        loop {
            let view = self.vote.agreement().view();
            self.sums.ask_committee(cx, &self.vote, &collect.reports);
            self.sums.add(cx, members, collect, set_commitments);
            self.deliberate(cx, members, collect, set_commitments);
            if self.vote.agreement().view() == view {
                break;
            }
        }
    }

    /// In whichever phase this member is, it adds what proposers ask for.
    pub(super) fn add(
        &self,
        cx: &mut Cx,
        members: &Members,
        collect: &Collect,
        set_commitments: &mut SetCommitments,
    ) {
        self.sums.add(cx, members, collect, set_commitments);
    }

    /// In whichever phase this member is, a decision made by the others takes it along. Returns
    /// whether there is one.
    pub(super) fn follow(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        collect: &Collect,
        set_commitments: &mut SetCommitments,
    ) -> bool {
        if !self.vote.agreement().is_settled() {
            self.deliberate(cx, members, collect, set_commitments);
        }
        let is_decided = self.vote.agreement().decided().is_some();
        if is_decided && self.decided.is_none() {
            self.learn(cx, collect, set_commitments);
        }
        is_decided
    }

    fn deliberate(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        collect: &Collect,
        set_commitments: &mut SetCommitments,
    ) {
        let mut judge = SetJudge { sums: &self.sums, collect, set_commitments };
        self.vote.advance(cx, members, &mut judge);
    }

    /// Notes the decided set; its updates are spent from now on, whatever becomes of the sum.
    fn learn(&mut self, cx: &mut Cx, collect: &Collect, set_commitments: &mut SetCommitments) {
        let Some(Decided { value, .. }) = self.vote.decided() else { return };
        if let Value::Aggregate { set, aggregate } = value {
            set_commitments.keep(cx, &collect.commitments, &set);
            let digest = set.digest();
            self.decided = Some(DecidedSet { set, aggregate, digest });
            let decrypt_ms = cx.config.manifest.manifest().deadlines.decrypt_ms;
            cx.cancel_timer(TimerId::View);
            cx.set_timer(TimerId::Decrypt, decrypt_ms);
        }
    }

    /// A proposer requests a sum of the committee. Returns the reports of the request: their
    /// signatures are checked, so they count as if received from their senders, and are evidence if
    /// a sender has signed another one.
    pub(super) fn on_request(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        request: (View, ReportBundle),
        signature: Signature,
    ) -> Option<ReportBundle> {
        let current = self.vote.agreement().view();
        self.sums.on_request(cx, current, sender, request, signature)
    }

    /// A proposal of a set, or to skip the round. Returns the reports that it carries, as
    /// [`Self::on_request`] does.
    pub(super) fn on_proposal(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        proposal: Proposal,
        signature: Signature,
    ) -> Option<ReportBundle> {
        if !self.vote.admits(cx, sender, &proposal, signature) {
            return None;
        }
        if let Value::Aggregate { set, .. } = &proposal.value
            && let Err(error) = cx.config.rules().check_set(sender, set)
        {
            let body = crate::wire::Body::Proposal(Box::new(proposal));
            sums::too_small(cx, &error, (body, signature));
            return None;
        }
        if !Self::follows_from_reports(cx, &proposal) {
            cx.dropped("proposal: not valid by what it carries");
            return None;
        }
        let reports =
            proposal.justification.as_ref().map(|justification| justification.bundle.clone());
        self.vote.on_proposal(proposal, signature);
        reports
    }

    /// Whether polka and justification, as far as there are any, hold; an aggregate needs one of
    /// them.
    fn follows_from_reports(cx: &Cx, proposal: &Proposal) -> bool {
        let Some(has_polka) = Driver::polka(cx, proposal) else { return false };
        match (&proposal.value, &proposal.justification) {
            (Value::Aggregate { set, aggregate }, Some(justification)) => {
                sums::is_justified(cx, set, aggregate, justification)
            }
            (Value::Aggregate { .. }, None) => has_polka,
            (_, justification) => justification.is_none(),
        }
    }
}

/// The state that the validity of a set depends on.
struct SetJudge<'a> {
    sums: &'a Sums,
    collect: &'a Collect,
    set_commitments: &'a mut SetCommitments,
}

impl Judge for SetJudge<'_> {
    fn validity(&self, cx: &Cx, values: &mut Values) -> ValueValidity {
        let skip = Value::Skip.id();
        let mut validity = ValueValidity::default();
        if cx.clock.round_over {
            validity.candidate = Some(skip);
        }
        if let Some(value) = self.sums.candidate(cx) {
            let id = values.insert(value);
            values.justify(id);
            validity.candidate = Some(id);
        }
        validity.known = values.known();
        validity.valid_with_polka = validity.known.clone();
        validity.valid = values.justified().clone();
        if cx.clock.round_over {
            validity.valid.insert(skip);
        }
        #[cfg(feature = "planted-bugs")]
        if cx.config.rules().vote_by_holding {
            self.reject_what_is_not_here(values, &mut validity);
        }
        validity
    }

    fn justification(&self, cx: &Cx) -> Option<Justification> {
        self.sums.justification(cx)
    }

    fn before_accepting(&mut self, cx: &mut Cx, value: &Value) {
        if let Value::Aggregate { set, .. } = value {
            self.set_commitments.keep(cx, &self.collect.commitments, set);
        }
    }
}

#[cfg(feature = "planted-bugs")]
impl SetJudge<'_> {
    /// The bug that the head of this file rules out: a set counts as valid only where all its
    /// ciphertexts are.
    fn reject_what_is_not_here(&self, values: &Values, validity: &mut ValueValidity) {
        let is_here = |id: &crate::ids::ValueDigest| match values.get(id) {
            Some(Value::Aggregate { set, .. }) => {
                set.commitments().all(|update| self.collect.availability.is_complete(&update))
            }
            _ => true,
        };
        validity.valid.retain(is_here);
        validity.valid_with_polka.retain(is_here);
    }
}
