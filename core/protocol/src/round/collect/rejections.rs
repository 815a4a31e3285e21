//! The rejections of updates that committee members could not read.

use std::collections::BTreeMap;

use crate::context::Cx;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::sign::Signature;

/// Rejected commitments by committee member, with its signatures.
#[derive(Debug, Clone, Default)]
pub(super) struct Rejections(BTreeMap<MemberIndex, BTreeMap<CommitmentDigest, Signature>>);

impl Rejections {
    pub(super) fn insert(
        &mut self,
        member: MemberIndex,
        update: CommitmentDigest,
        signature: Signature,
    ) {
        self.0.entry(member).or_default().insert(update, signature);
    }

    /// The updates that `member` rejects.
    pub(super) fn by(&self, member: MemberIndex) -> impl Iterator<Item = CommitmentDigest> + '_ {
        self.0.get(&member).into_iter().flat_map(|rejected| rejected.keys().copied())
    }

    /// The signature of `member` under its rejection of an update.
    pub(super) fn signature(
        &self,
        member: MemberIndex,
        update: &CommitmentDigest,
    ) -> Option<Signature> {
        self.0.get(&member)?.get(update).copied()
    }

    /// Whether `member` rejects an update.
    pub(super) fn has(&self, member: MemberIndex, update: &CommitmentDigest) -> bool {
        self.signature(member, update).is_some()
    }

    /// Who rejects an update, with their signatures, ascending by member.
    pub(super) fn of(&self, update: &CommitmentDigest) -> Vec<(MemberIndex, Signature)> {
        let of = |(member, rejected): (&MemberIndex, &BTreeMap<CommitmentDigest, Signature>)| {
            Some((*member, *rejected.get(update)?))
        };
        self.0.iter().filter_map(of).collect()
    }

    /// Whether f + 1 members reject an update: one of them is honest and has read it.
    pub(super) fn suffice(&self, cx: &Cx, update: &CommitmentDigest) -> bool {
        let enough = usize::from(cx.config.rules().honest_threshold());
        self.0.values().filter(|rejected| rejected.contains_key(update)).count() >= enough
    }
}
