//! What the committee has attested in the round: sums by set and committee member.

use std::collections::BTreeMap;

use crate::context::Cx;
use crate::ids::{MemberIndex, SetDigest};
use crate::limits::MAX_SETS;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::Body;

/// The first sum that each committee member has attested of each set, with its signature.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attestations(BTreeMap<SetDigest, BTreeMap<MemberIndex, (ObjectRef, Signature)>>);

impl Attestations {
    pub(super) fn insert(
        &mut self,
        set: SetDigest,
        member: MemberIndex,
        attested: (ObjectRef, Signature),
    ) {
        self.0.entry(set).or_default().insert(member, attested);
    }

    /// An attestation of another member; `own` is the set that this one has collected. A second one
    /// of a set with another sum is evidence.
    pub(super) fn on_attestation(
        &mut self,
        cx: &mut Cx,
        own: Option<SetDigest>,
        sender: MemberIndex,
        (set, aggregate): (SetDigest, ObjectRef),
        signature: Signature,
    ) {
        if !cx.election.in_committee(sender) {
            return cx.dropped("attestation: not of the committee");
        }
        // Each member has a bound of its own: one that attests sets that nobody has asked for takes
        // room from nobody else.
        let others = self.0.iter().filter(|(of, by)| **of != set && by.contains_key(&sender));
        if own != Some(set) && others.count() >= MAX_SETS {
            return cx.dropped("attestation: too many sets");
        }
        let attested = self.0.entry(set).or_default();
        match attested.get(&sender).copied() {
            Some((first, _)) if first == aggregate => {}
            Some((first, first_signature)) => {
                let first = (Body::Attestation { set, aggregate: first }, first_signature);
                let second = (Body::Attestation { set, aggregate }, signature);
                cx.equivocated(sender, first, second);
            }
            None => {
                attested.insert(sender, (aggregate, signature));
            }
        }
    }

    /// The sum of a set that `member` has attested.
    pub(crate) fn of(&self, set: &SetDigest, member: MemberIndex) -> Option<ObjectRef> {
        Some(self.0.get(set)?.get(&member)?.0)
    }

    /// All sets and sums that `member` has attested, with its signatures.
    pub(crate) fn by(
        &self,
        member: MemberIndex,
    ) -> impl Iterator<Item = (SetDigest, ObjectRef, Signature)> + '_ {
        self.0.iter().filter_map(move |(set, attested)| {
            let (aggregate, signature) = *attested.get(&member)?;
            Some((*set, aggregate, signature))
        })
    }

    /// The members that have attested a sum of this set.
    pub(super) fn attesters(&self, set: &SetDigest) -> impl Iterator<Item = MemberIndex> + '_ {
        self.0.get(set).into_iter().flat_map(|attested| attested.keys().copied())
    }

    /// The members that have attested exactly this sum of this set.
    pub(super) fn attesters_of_sum(&self, set: &SetDigest, sum: &ObjectRef) -> Vec<MemberIndex> {
        let attested = self.0.get(set).into_iter().flatten();
        attested.filter(|(_, (it, _))| it == sum).map(|(member, _)| *member).collect()
    }

    /// The sum of a set that f + 1 committee members have attested, and their signatures.
    pub(super) fn agreed(
        &self,
        cx: &Cx,
        set: &SetDigest,
    ) -> Option<(ObjectRef, Vec<(MemberIndex, Signature)>)> {
        let mut by_sum: BTreeMap<ObjectRef, Vec<(MemberIndex, Signature)>> = BTreeMap::new();
        for (member, (aggregate, signature)) in self.0.get(set)? {
            by_sum.entry(*aggregate).or_default().push((*member, *signature));
        }
        let enough = usize::from(cx.config.rules().honest_threshold());
        let (sum, mut attestations) = by_sum.into_iter().find(|(_, a)| a.len() >= enough)?;
        attestations.truncate(enough);
        Some((sum, attestations))
    }
}
