//! The proposals of one decision: the first of each view that is within the window.

use std::collections::BTreeMap;

use crate::context::Cx;
use crate::ids::{MemberIndex, View};
use crate::limits::VIEW_WINDOW;
use crate::sign::Signature;
use crate::wire::{Body, Proposal};

/// The first proposal of each view with its signature, also to notice a second.
#[derive(Debug, Clone, Default)]
pub(super) struct Proposals(BTreeMap<View, (Proposal, Signature)>);

impl Proposals {
    pub(super) fn iter(&self) -> impl Iterator<Item = (View, &Proposal)> {
        self.0.iter().map(|(view, (proposal, _))| (*view, proposal))
    }

    pub(super) fn insert(&mut self, proposal: Proposal, signature: Signature) {
        self.0.insert(proposal.view, (proposal, signature));
    }

    /// Drops the proposals of views that are over.
    pub(super) fn forget_before(&mut self, current: View) {
        self.0.retain(|view, _| view.next() >= current);
    }

    /// Whether a proposal is sent by the proposer of its view, is of a view that matters, and is
    /// the first one there. A second one with another value is evidence.
    pub(super) fn admits(
        &self,
        cx: &mut Cx,
        current: View,
        (sender, proposal, signature): (MemberIndex, &Proposal, Signature),
    ) -> bool {
        let view = proposal.view;
        if cx.election.proposer(view) != sender {
            cx.dropped("proposal: not by the proposer");
            return false;
        }
        if view < current || view.0 > current.0.saturating_add(VIEW_WINDOW) {
            cx.dropped("proposal: far from this view");
            return false;
        }
        let Some((first, by)) = self.0.get(&view) else { return true };
        if first.value != proposal.value {
            let body = |proposal: &Proposal| Body::Proposal(Box::new(proposal.clone()));
            cx.equivocated(sender, (body(first), *by), (body(proposal), signature));
        }
        false
    }
}
