//! The votes of one view: the first of each member and kind.

use std::collections::BTreeMap;

use crate::ids::{MemberIndex, ValueDigest};
use crate::sign::Signature;
use crate::wire::VoteKind;

/// At most two votes for each member.
#[derive(Debug, Clone, Default)]
pub(super) struct Ballots(BTreeMap<(VoteKind, MemberIndex), (Option<ValueDigest>, Signature)>);

impl Ballots {
    /// Keeps the first vote. Returns it if this one differs from it.
    pub(super) fn add(
        &mut self,
        kind: VoteKind,
        member: MemberIndex,
        value: Option<ValueDigest>,
        signature: Signature,
    ) -> Option<(Option<ValueDigest>, Signature)> {
        let first = *self.0.entry((kind, member)).or_insert((value, signature));
        (first.0 != value).then_some(first)
    }

    fn of(
        &self,
        kind: VoteKind,
    ) -> impl Iterator<Item = (MemberIndex, Option<ValueDigest>, Signature)> {
        self.0
            .iter()
            .filter(move |((k, _), _)| *k == kind)
            .map(|((_, member), (value, signature))| (*member, *value, *signature))
    }

    /// The votes of one member, with their signatures.
    pub(super) fn votes_of(
        &self,
        member: MemberIndex,
    ) -> impl Iterator<Item = (VoteKind, Option<ValueDigest>, Signature)> {
        self.0
            .iter()
            .filter(move |((_, m), _)| *m == member)
            .map(|((kind, _), (value, signature))| (*kind, *value, *signature))
    }

    /// The members that have cast a vote of this kind.
    pub(super) fn voters(&self, kind: VoteKind) -> impl Iterator<Item = MemberIndex> {
        self.of(kind).map(|(member, _, _)| member)
    }

    /// Number of votes of this kind, nil included.
    pub(super) fn count(&self, kind: VoteKind) -> usize {
        self.of(kind).count()
    }

    /// Number of nil votes of this kind.
    pub(super) fn count_nil(&self, kind: VoteKind) -> usize {
        self.of(kind).filter(|(_, value, _)| value.is_none()).count()
    }

    /// The value with a quorum of votes.
    pub(super) fn quorum(&self, kind: VoteKind, quorum: usize) -> Option<ValueDigest> {
        let mut counts = self.counts(kind).into_iter();
        counts.find(|(_, count)| *count >= quorum).map(|(value, _)| value)
    }

    /// Number of votes for the value that has most.
    pub(super) fn most(&self, kind: VoteKind) -> usize {
        self.counts(kind).into_values().max().unwrap_or_default()
    }

    fn counts(&self, kind: VoteKind) -> BTreeMap<ValueDigest, usize> {
        let mut counts: BTreeMap<ValueDigest, usize> = BTreeMap::new();
        for value in self.of(kind).filter_map(|(_, value, _)| value) {
            *counts.entry(value).or_default() += 1;
        }
        counts
    }

    /// The votes for `value`, ascending by member.
    pub(super) fn votes_for(
        &self,
        kind: VoteKind,
        value: ValueDigest,
    ) -> impl Iterator<Item = (MemberIndex, Signature)> {
        self.of(kind).filter(move |(_, v, _)| *v == Some(value)).map(|(m, _, s)| (m, s))
    }
}
