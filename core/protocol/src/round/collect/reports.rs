//! report: at the collection deadline, or as soon as nothing is missing, each member signs the
//! updates whose own share is valid and which f + 1 committee members have whole: one of them is
//! honest and will serve it.

use std::collections::BTreeMap;

use super::availability::Availability;
use super::commitments::Commitments;
use crate::context::Cx;
use crate::ids::MemberIndex;
use crate::sign::Signature;
use crate::wire::{Body, SignedReport, UpdateSet};

/// The first report of each member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(BTreeMap<MemberIndex, SignedReport>);

impl Reports {
    pub(crate) const fn all(&self) -> &BTreeMap<MemberIndex, SignedReport> {
        &self.0
    }

    pub(crate) fn of(&self, member: MemberIndex) -> Option<&SignedReport> {
        self.0.get(&member)
    }

    /// This member's own report, fresh or from the journal.
    pub(crate) fn insert_own(&mut self, cx: &mut Cx, set: UpdateSet) {
        let body = Body::Report(set.clone());
        if let Some(signature) = cx.sign(cx.round(), &body) {
            self.0.insert(cx.me(), (set, signature));
        }
    }

    pub(crate) fn on_report(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        set: UpdateSet,
        signature: Signature,
    ) {
        match self.0.get(&sender) {
            Some((first, _)) if *first == set => {}
            Some((first, first_signature)) => {
                let first = (Body::Report(first.clone()), *first_signature);
                cx.equivocated(sender, first, (Body::Report(set), signature));
            }
            None => {
                self.0.insert(sender, (set, signature));
            }
        }
    }

    /// Whether so many have reported without an update of `member` that it cannot be in the set any
    /// more, whoever else lists it: a member that comes late finds the others there.
    pub(crate) fn is_too_late(
        &self,
        cx: &Cx,
        (commitments, availability): (&Commitments, &Availability),
        member: MemberIndex,
    ) -> bool {
        let rules = cx.config.rules();
        let lists = |set: &UpdateSet| set.has_contributor(member);
        let listed = self.0.values().filter(|(set, _)| lists(set)).count();
        let silent = usize::from(rules.member_count).saturating_sub(self.0.len());
        if listed.saturating_add(silent) < usize::from(rules.inclusion_threshold()) {
            return true;
        }
        // Nor does a committee member that has reported without it fetch it any more.
        let first = commitments.first_of(member);
        let could_have = |m: &&MemberIndex| {
            first.is_some_and(|digest| availability.has(**m, digest))
                || self.0.get(*m).is_none_or(|(set, _)| lists(set))
        };
        let committee = cx.election.committee().iter();
        committee.filter(could_have).count() < usize::from(rules.honest_threshold())
    }
}
