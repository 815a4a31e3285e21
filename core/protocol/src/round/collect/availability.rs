//! transfer, at the committee: its members fetch ciphertexts and all sealed shares, and announce
//! which updates they have completely.
//!
//! A committee member reads an update before it announces it. Bytes that are no ciphertext of their
//! contributor would make every sum with them fail; a member that finds them signs a rejection, and
//! f + 1 rejections leave the update out and name its contributor, because at most f members are
//! Byzantine.
//!
//! A rejection follows from content alone: the commitment names the bytes by their digest, and all
//! members of a round read them by the same rules. So two honest members never contradict each
//! other, nor does one that has lost what it has signed; an update is never malformed to some
//! members only. A member that rejects an update serves its bytes to the committee, so a
//! contributor that gives them to a few members gains nothing. f members that reject a sound update
//! leave nothing out: the f + 1 honest ones of the committee announce it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::commitments::Commitments;
use super::rejections::Rejections;
use crate::context::{Cx, Tag};
use crate::effect::Purpose;
use crate::election::Election;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::job::Job;
use crate::members::Members;
use crate::sign::Signature;
use crate::wire::evidence::Evidence;
use crate::wire::journal::Note;
use crate::wire::{Body, CommitmentBody};

/// What each committee member has of the updates, and which ones it rejects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Availability {
    /// Updates that each committee member has completely, by its announcements.
    have: BTreeMap<MemberIndex, BTreeSet<CommitmentDigest>>,
    /// The last announcement of each committee member, as it was signed.
    announced: BTreeMap<MemberIndex, (Vec<CommitmentDigest>, Signature)>,
    /// Rejected commitments by committee member.
    rejections: Rejections,
    /// Whether a ciphertext that this member has read can be added: its bytes are an encryption by
    /// its contributor of as many values as the round has, and fit the published part of its
    /// sharing.
    read: BTreeMap<CommitmentDigest, bool>,
    /// Updates that this member, of the committee, has whole.
    whole: BTreeSet<CommitmentDigest>,
}

impl Availability {
    /// How many updates a member has whole.
    pub(crate) fn count_of(&self, member: MemberIndex) -> usize {
        self.have.get(&member).map_or(0, BTreeSet::len)
    }

    /// Whether a member has announced an update.
    pub(crate) fn has(&self, member: MemberIndex, update: &CommitmentDigest) -> bool {
        self.have.get(&member).is_some_and(|have| have.contains(update))
    }

    /// Whether this member, of the committee, has all of an update.
    pub(crate) fn is_complete(&self, update: &CommitmentDigest) -> bool {
        self.whole.contains(update)
    }

    /// Committee members that announced this commitment.
    pub(crate) fn holders_of(
        &self,
        election: &Election,
        update: &CommitmentDigest,
    ) -> impl Iterator<Item = MemberIndex> {
        election.committee().iter().copied().filter(|member| self.has(*member, update))
    }

    /// Whether a member has announced or rejected every commitment known here that is one of this
    /// round's.
    pub(crate) fn has_everything(&self, member: MemberIndex, commitments: &Commitments) -> bool {
        commitments.first().values().all(|digest| {
            self.has(member, digest)
                || self.rejections.has(member, digest)
                || commitments.misshape_of(digest).is_some()
        })
    }

    /// Whether f + 1 committee members have rejected an update.
    pub(crate) fn is_rejected(&self, cx: &Cx, update: &CommitmentDigest) -> bool {
        self.rejections.suffice(cx, update)
    }

    /// This member's own announcement and rejections, to send them again.
    pub(crate) fn own_messages(&self, me: MemberIndex) -> Vec<Body> {
        self.own_announcement(me)
            .into_iter()
            .chain(self.rejections.by(me).map(Body::Rejection))
            .collect()
    }

    /// The announcement of the updates that this member has completely, if there are any.
    pub(super) fn own_announcement(&self, me: MemberIndex) -> Option<Body> {
        let have = self.have.get(&me).filter(|have| !have.is_empty())?;
        Some(Body::HaveUpdates(have.iter().copied().collect()))
    }

    /// Fetches a whole update, for the committee: the ciphertext and all sealed shares. Returns
    /// whether it has just become whole.
    pub(super) fn fetch(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        members: &Members,
        digest: &CommitmentDigest,
    ) -> bool {
        let me = cx.me();
        let Some(commitment) = commitments.get(digest) else { return false };
        if self.is_complete(digest) || !cx.election.in_committee(me) {
            return false;
        }
        let (contributor, body) = (commitment.contributor, Arc::clone(&commitment.body));
        let mut whole = self.fetch_ciphertext(cx, members, digest, (contributor, &body))
            && self.is_sound(cx, commitments, digest);
        for sealed in body.sealed_shares.iter().flatten() {
            let holders = |cx: &Cx| self.holders_for(cx, members, digest, contributor);
            whole &= cx.request(*sealed, Purpose::Share, holders);
        }
        if whole {
            Commitments::serve_update(cx, &body);
            self.have.entry(me).or_default().insert(*digest);
            self.whole.insert(*digest);
        }
        whole
    }

    /// Fetches the ciphertext of an update. Returns whether it is here.
    pub(crate) fn fetch_ciphertext(
        &self,
        cx: &mut Cx,
        members: &Members,
        digest: &CommitmentDigest,
        (contributor, body): (MemberIndex, &CommitmentBody),
    ) -> bool {
        let holders = |cx: &Cx| self.holders_for(cx, members, digest, contributor);
        cx.request(body.ciphertext, Purpose::Ciphertext, holders)
    }

    /// The contributor first, then who announced it, then the rest of the committee.
    pub(super) fn holders_for(
        &self,
        cx: &Cx,
        members: &Members,
        digest: &CommitmentDigest,
        contributor: MemberIndex,
    ) -> Vec<MemberIndex> {
        let mut holders = vec![contributor];
        let committee = cx.election.committee().iter().copied();
        for member in self.holders_of(&cx.election, digest).chain(committee) {
            if !holders.contains(&member) {
                holders.push(member);
            }
        }
        members.trusted_first(holders)
    }

    /// Whether a ciphertext that is here can be added; the first call starts the check. This
    /// member's own one was written here, and what was rejected before a restart stays rejected.
    fn is_sound(&self, cx: &mut Cx, commitments: &Commitments, digest: &CommitmentDigest) -> bool {
        let Some(known) = commitments.get(digest) else { return false };
        if let Some(sound) = self.read.get(digest) {
            return *sound;
        }
        if known.contributor == cx.me() {
            return true;
        }
        if self.rejections.has(cx.me(), digest) {
            return false;
        }
        if let Some(update) = commitments.update(digest) {
            let job = Job::CheckCiphertext { start: cx.start, update: Box::new(update) };
            cx.start(Tag::CheckCiphertext(*digest), job);
        }
        false
    }

    /// This member, of the committee, has read a ciphertext.
    pub(super) fn on_ciphertext_checked(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        digest: CommitmentDigest,
        valid: bool,
    ) {
        let Some(known) = commitments.get(&digest) else { return };
        self.read.insert(digest, valid);
        if valid || self.rejections.has(cx.me(), &digest) || !cx.persist(Note::Rejected(digest)) {
            return;
        }
        self.recall_rejection(cx, digest);
        let committee = cx.election.committee().to_vec();
        cx.serve(known.body.ciphertext, Some(committee), Purpose::Ciphertext);
        cx.broadcast(Body::Rejection(digest));
        self.judge(cx, commitments, &digest);
    }

    /// The check failed to run at this member, which proves nothing of the update; its bytes may
    /// have been lost.
    pub(crate) fn on_ciphertext_not_checked(
        cx: &mut Cx,
        commitments: &Commitments,
        digest: &CommitmentDigest,
    ) {
        if let Some(known) = commitments.get(digest) {
            cx.may_be_removed(&known.body.ciphertext);
        }
    }

    /// Notes an own rejection, fresh or from the journal.
    pub(crate) fn recall_rejection(&mut self, cx: &mut Cx, digest: CommitmentDigest) {
        if let Some(signature) = cx.sign(cx.round(), &Body::Rejection(digest)) {
            self.rejections.insert(cx.me(), digest, signature);
        }
    }

    pub(crate) fn on_rejection(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        sender: MemberIndex,
        digest: CommitmentDigest,
        signature: Signature,
    ) {
        if !cx.election.in_committee(sender) {
            return cx.dropped("rejection: not of the committee");
        }
        let room = usize::from(cx.config.rules().member_count) * 2;
        if self.rejections.has(sender, &digest) {
            return;
        }
        if self.rejections.by(sender).count() >= room {
            return cx.dropped("rejection: more than there can be updates");
        }
        self.rejections.insert(sender, digest, signature);
        if let Some((list, first)) = self.announced.get(&sender)
            && list.contains(&digest)
        {
            let first = (Body::HaveUpdates(list.clone()), *first);
            cx.equivocated(sender, first, (Body::Rejection(digest), signature));
        }
        self.judge(cx, commitments, &digest);
    }

    /// A committee member has these updates completely, so it cannot have rejected one of them.
    /// Returns whether any of it is news.
    pub(crate) fn on_have_updates(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        list: Vec<CommitmentDigest>,
        signature: Signature,
    ) -> bool {
        if !cx.election.in_committee(sender) {
            cx.dropped("have updates: not of the committee");
            return false;
        }
        let rejected = list.iter().find_map(|digest| {
            let by = self.rejections.signature(sender, digest)?;
            Some((Body::Rejection(*digest), by))
        });
        if let Some(rejected) = rejected {
            cx.equivocated(sender, rejected, (Body::HaveUpdates(list.clone()), signature));
        }
        let have = self.have.entry(sender).or_default();
        let room = usize::from(cx.config.rules().member_count) * 2;
        let mut is_news = false;
        for digest in &list {
            is_news |= have.len() < room && have.insert(*digest);
        }
        self.announced.insert(sender, (list, signature));
        is_news
    }

    /// Accuses the contributor of an update that f + 1 members have rejected; the first f + 1
    /// rejections suffice as proof.
    pub(super) fn judge(&self, cx: &mut Cx, commitments: &Commitments, digest: &CommitmentDigest) {
        let enough = usize::from(cx.config.rules().honest_threshold());
        let Some(known) = commitments.get(digest) else { return };
        if !self.rejections.suffice(cx, digest) {
            return;
        }
        let mut rejections = self.rejections.of(digest);
        rejections.truncate(enough);
        let (contributor, round) = (known.contributor, cx.round());
        if contributor == cx.me() {
            return cx.dropped("rejection: of this member's own update");
        }
        let commitment = (known.body.as_ref().clone(), known.signature);
        let evidence = Evidence::rejected(contributor, round, commitment, rejections);
        cx.accuse_because(evidence, "an update that cannot be read".into());
    }
}
