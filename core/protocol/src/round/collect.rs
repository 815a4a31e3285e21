//! The first half of a round: commit, transfer, report. Each member commits to an encrypted update,
//! all fetch what they need of each other's, and each signs a report of the updates that it vouches
//! for.

mod availability;
mod commitments;
mod complaints;
mod dirty_set;
mod intake;
mod openings;
mod rejections;
mod reports;
mod resealing;
mod shares;

pub(crate) use availability::Availability;
pub(crate) use commitments::Commitments;
pub(crate) use reports::Reports;
pub(crate) use shares::Shares;

use super::set_commitments::SetCommitments;
use crate::context::Cx;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::members::{Members, SealingKeys, UnansweredComplaints};
use crate::status::Refusal;
use crate::wire::journal::Note;
use crate::wire::{Body, UpdateSet};
use resealing::Resealing;
use shares::Share;

/// The state of the updates of the round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collect {
    pub(crate) commitments: Commitments,
    pub(crate) shares: Shares,
    pub(crate) availability: Availability,
    pub(crate) reports: Reports,
}

impl Collect {
    /// commit: contributes this member's own update and fetches those of others. Returns true once
    /// no commitment is waited for.
    pub(super) fn commit(&mut self, cx: &mut Cx, members: &Members, keys: &SealingKeys) -> bool {
        self.commitments.contribute(cx, keys, true);
        self.fetch_updates(cx, members);
        self.has_all_commitments(cx, members) || cx.clock.commit_over || self.has_reported(cx)
    }

    /// transfer: the same until this member has reported. An own update that is encrypted is still
    /// sealed, but none is begun.
    pub(super) fn transfer(&mut self, cx: &mut Cx, members: &Members, keys: &SealingKeys) {
        self.commitments.contribute(cx, keys, false);
        self.fetch_updates(cx, members);
    }

    /// Whether this member has reported.
    pub(crate) fn has_reported(&self, cx: &Cx) -> bool {
        self.reports.of(cx.me()).is_some()
    }

    /// Whether nothing known rules an update out of a set.
    pub(crate) fn is_eligible(&self, cx: &Cx, digest: &CommitmentDigest) -> bool {
        self.commitments.misshape_of(digest).is_none() && !self.availability.is_rejected(cx, digest)
    }

    /// Why the update of `member` is left out, if it is.
    pub(crate) fn refusal_of(&self, cx: &Cx, member: MemberIndex) -> Option<Refusal> {
        let first = self.commitments.first_of(member)?;
        let rejected = || self.availability.is_rejected(cx, first).then_some(Refusal::Unreadable);
        self.commitments.misshape_of(first).or_else(rejected)
    }

    /// Whether this member's own share of the first update of `member` is valid.
    pub(crate) fn has_valid_share_of(&self, member: MemberIndex) -> bool {
        self.commitments.first_of(member).is_some_and(|digest| self.shares.is_valid(digest))
    }

    /// Whether this member can report an update: its own share is valid, and f + 1 committee
    /// members have all of it.
    pub(crate) fn is_vouched_for(&self, cx: &Cx, digest: &CommitmentDigest) -> bool {
        let enough = usize::from(cx.config.rules().honest_threshold());
        self.shares.is_valid(digest)
            && !self.shares.openings.has_wrong_opening(digest)
            && self.availability.holders_of(&cx.election, digest).count() >= enough
    }

    /// Whether no commitment is waited for: all have arrived, except those of members that are
    /// away, if the rest suffice for a sum, and those that would be too late.
    fn has_all_commitments(&self, cx: &Cx, members: &Members) -> bool {
        let first = self.commitments.first();
        let eligible = first.iter().filter(|(member, digest)| {
            self.is_eligible(cx, digest) && !members.is_banned(**member)
        });
        let enough = eligible.count() >= usize::from(cx.config.rules().min_contributors);
        cx.config.manifest.members().all(|member| {
            first.contains_key(&member)
                || members.is_banned(member)
                || members.exclusions.is_excluded(cx, member)
                || enough && members.is_absent(member)
                || self.is_too_late(cx, member)
        })
    }

    fn is_too_late(&self, cx: &Cx, member: MemberIndex) -> bool {
        self.reports.is_too_late(cx, (&self.commitments, &self.availability), member)
    }

    /// Fetches what this member needs of the updates that have changed.
    pub(super) fn fetch_updates(&mut self, cx: &mut Cx, members: &Members) {
        if !self.commitments.is_prepared(cx) {
            return;
        }
        let dirty = self.commitments.take_dirty();
        if dirty.is_empty() {
            return;
        }
        // In the order of the members, whatever the order in which things arrived.
        let first = self.commitments.first().values();
        let updates = first.filter(|d| dirty.contains(*d) && self.may_be_in_a_set(cx, d));
        let updates: Vec<CommitmentDigest> = updates.copied().collect();
        let mut grown = false;
        for digest in updates {
            if !self.is_eligible(cx, &digest) {
                continue;
            }
            self.fetch_share(cx, members, &digest);
            grown |= self.availability.fetch(cx, &self.commitments, members, &digest);
        }
        if grown && let Some(announcement) = self.availability.own_announcement(cx.me()) {
            cx.broadcast(announcement);
        }
    }

    /// Whether an update can still be in a set that this member adds: once it has reported, those
    /// that it vouches for.
    fn may_be_in_a_set(&self, cx: &Cx, digest: &CommitmentDigest) -> bool {
        let report = self.reports.of(cx.me());
        report.is_none_or(|(set, _)| set.has_commitment(digest))
    }

    /// Fetches and tests this member's own share of an update. Returns whether it is valid.
    pub(crate) fn fetch_share(
        &self,
        cx: &mut Cx,
        members: &Members,
        digest: &CommitmentDigest,
    ) -> bool {
        self.shares.fetch(cx, digest, (&self.commitments, &self.availability), members)
    }

    /// Fetches the ciphertexts of a set whose commitments are known. Returns whether all are here.
    pub(super) fn fetch_set(&self, cx: &mut Cx, members: &Members, set: &UpdateSet) -> bool {
        let mut complete = true;
        for (contributor, digest) in set {
            let Some(commitment) = self.commitments.get(digest) else { return false };
            let of = (*contributor, commitment.body.as_ref());
            complete &= self.availability.fetch_ciphertext(cx, members, digest, of);
        }
        complete
    }

    /// report: signs what this member vouches for, once nothing more is waited for. Returns whether
    /// it has reported.
    pub(super) fn report(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        set_commitments: &mut SetCommitments,
    ) -> bool {
        if self.has_reported(cx) {
            return true;
        }
        if !self.commitments.is_prepared(cx) && !cx.clock.transfer_over {
            return false;
        }
        let first = self.commitments.first().iter().map(|(member, digest)| (*member, *digest));
        let candidates: Vec<(MemberIndex, CommitmentDigest)> = first
            .filter(|(member, digest)| {
                self.commitments.has_shape()
                    && self.is_eligible(cx, digest)
                    && !members.is_banned(*member)
                    && !members.exclusions.is_excluded(cx, *member)
            })
            .collect();
        let vouched_for =
            |entry: &(MemberIndex, CommitmentDigest)| self.is_vouched_for(cx, &entry.1);
        let (listed, mut open): (Vec<_>, Vec<_>) = candidates.into_iter().partition(vouched_for);
        open.retain(|(contributor, _)| !self.is_too_late(cx, *contributor));
        let missing = open
            .iter()
            .any(|(contributor, digest)| !self.is_out_of_reach(cx, members, *contributor, digest));
        let too_few =
            !open.is_empty() && listed.len() < usize::from(cx.config.rules().min_contributors);
        if (missing || too_few) && !cx.clock.transfer_over {
            return false;
        }
        let listed: UpdateSet = listed.into_iter().collect();
        set_commitments.keep(cx, &self.commitments, &listed);
        if !cx.persist(Note::Reported(listed.clone())) {
            return false;
        }
        self.reports.insert_own(cx, listed.clone());
        cx.broadcast(Body::Report(listed));
        true
    }

    /// Whether nobody present could supply what an update lacks: its contributor is absent, and
    /// either no other member present has all of it or this member's own share is bad.
    fn is_out_of_reach(
        &self,
        cx: &Cx,
        members: &Members,
        contributor: MemberIndex,
        digest: &CommitmentDigest,
    ) -> bool {
        let is_bad = self.shares.state(digest) == Some(Share::Bad);
        let mut holders = self.availability.holders_of(&cx.election, digest);
        members.is_absent(contributor) && (is_bad || holders.all(|m| members.is_absent(m)))
    }

    /// A heartbeat tick: failed fetches may be tried again, so all unfinished updates are scanned,
    /// and complaints and their answers are sent again. Once a set is decided, other updates do not
    /// matter.
    pub(crate) fn tick(
        &mut self,
        cx: &mut Cx,
        members: &Members,
        keys: &SealingKeys,
        decided: Option<&UpdateSet>,
    ) {
        if decided.is_none() {
            self.mark_unfinished(cx);
        }
        let Self { commitments, shares, availability, .. } = self;
        let is_needed = |cx: &Cx, digest: &CommitmentDigest| {
            !availability.is_rejected(cx, digest)
                && decided.is_none_or(|set| set.has_commitment(digest))
        };
        shares.complain_again(cx, commitments, keys, is_needed);
        let is_reachable = |member| members.is_reachable(member);
        shares.complaints.tick(cx, (commitments, &shares.openings), is_reachable);
    }

    fn mark_unfinished(&mut self, cx: &Cx) {
        let in_committee = cx.election.in_committee(cx.me());
        let first: Vec<CommitmentDigest> = self.commitments.first().values().copied().collect();
        for digest in first {
            let whole = self.availability.is_complete(&digest);
            if self.shares.state(&digest).is_none() || (in_committee && !whole) {
                self.commitments.mark(digest);
            }
        }
    }

    /// The host has read a ciphertext. The rest of the update may be here already.
    pub(crate) fn on_ciphertext_checked(
        &mut self,
        cx: &mut Cx,
        digest: CommitmentDigest,
        valid: bool,
    ) {
        self.availability.on_ciphertext_checked(cx, &self.commitments, digest, valid);
        if valid && self.commitments.get(&digest).is_some() {
            self.commitments.mark(digest);
        }
    }

    /// The host has resealed a share of this member's own update for `member`.
    pub(crate) fn on_own_resealed(
        &mut self,
        cx: &mut Cx,
        member: MemberIndex,
        sealed: Option<Vec<u8>>,
    ) {
        let Some(own) = self.commitments.own() else { return };
        let Shares { openings, resealing, .. } = &mut self.shares;
        resealing.on_resealed(cx, openings, (own, member), sealed);
    }

    /// The host has opened a share of this member's own update, that of `member`.
    pub(crate) fn on_own_opened(&mut self, cx: &mut Cx, member: MemberIndex, opening: Vec<u8>) {
        let Some(own) = self.commitments.own() else { return };
        Resealing::on_opened(cx, &mut self.shares.openings, (own, member), opening);
    }

    /// How the round ends for those who contributed to it.
    pub(crate) fn unanswered(&self) -> UnansweredComplaints {
        UnansweredComplaints {
            contributors: self.commitments.first().keys().copied().collect(),
            debtors: self.shares.complaints.debtors().collect(),
        }
    }
}
