//! transfer: every member fetches its own sealed share of each update and tests it.
//!
//! A member without a valid share (its sealed share does not open, fails the test, or does not
//! exist because its sealing key came late) asks the contributor to seal the share again, to the
//! key that it names: first the contributor alone, then, after some heartbeats without an answer,
//! in public, so that others forward the complaint. Only if a resealed share does not open either
//! it asks for the opening of the share commitment, which everyone checks (`openings`).

use std::collections::BTreeMap;

use super::availability::Availability;
use super::commitments::Commitments;
use super::complaints::PublicComplaints;
use super::openings::Openings;
use super::resealing::Resealing;
use crate::context::{Cx, Tag};
use crate::effect::Purpose;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::job::Job;
use crate::limits::{BEATS_UNTIL_PUBLIC, MAX_RESEALS};
use crate::members::{Members, SealingKeys};
use crate::sign::Signature;
use crate::wire::{Body, Complaint, Remedy};

/// State of this member's own share in an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Valid,
    /// The sealed share does not open to the committed digest, or fails the low-degree test.
    Bad,
}

/// What this member has asked for a share.
#[derive(Debug, Clone, Default)]
struct Asking {
    /// Number of own heartbeats since the first complaint.
    beats: u8,
    /// Number of resealed shares that have arrived.
    resealed: u8,
    /// One of them did not open, so the opening is asked for.
    wants_opening: bool,
}

/// This member's own shares of all updates, and the complaints about bad ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    /// The shares that have been tested, by update.
    tested: BTreeMap<CommitmentDigest, Share>,
    /// The complaints of this member, by update.
    asking: BTreeMap<CommitmentDigest, Asking>,
    pub(super) openings: Openings,
    pub(crate) complaints: PublicComplaints,
    pub(crate) resealing: Resealing,
}

impl Shares {
    pub(super) fn state(&self, update: &CommitmentDigest) -> Option<Share> {
        self.tested.get(update).copied()
    }

    /// Whether this member's own share of an update is valid.
    pub(crate) fn is_valid(&self, update: &CommitmentDigest) -> bool {
        self.state(update) == Some(Share::Valid)
    }

    /// Fetches and tests this member's own share. Returns whether it is valid.
    pub(crate) fn fetch(
        &self,
        cx: &mut Cx,
        digest: &CommitmentDigest,
        (commitments, availability): (&Commitments, &Availability),
        members: &Members,
    ) -> bool {
        let Some(commitment) = commitments.get(digest) else { return false };
        if let Some(share) = self.state(digest) {
            return share == Share::Valid;
        }
        let sealed = commitment.body.sealed_shares.get(cx.me().position()).copied().flatten();
        let contributor = commitment.contributor;
        // Without a sealed share in the commitment, a resealed one may be on disk from before a
        // restart.
        let here = sealed.is_none_or(|sealed| {
            let holders = |cx: &Cx| availability.holders_for(cx, members, digest, contributor);
            cx.request(sealed, Purpose::Share, holders)
        });
        if here && let Some(update) = commitments.update(digest) {
            let round = cx.round();
            cx.start(Tag::CheckShare(*digest), Job::CheckShare { round, update });
        }
        false
    }

    /// The host has opened this member's own sealed share of an update and tested it.
    pub(crate) fn on_checked(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        keys: &SealingKeys,
        (digest, valid): (CommitmentDigest, bool),
    ) {
        let Some(commitment) = commitments.get(&digest) else { return };
        if self.is_valid(&digest) {
            return;
        }
        self.tested.insert(digest, if valid { Share::Valid } else { Share::Bad });
        if !valid && commitment.contributor != cx.me() {
            self.ask(cx, commitments, keys, digest);
        }
    }

    /// A heartbeat tick. Complaints and answers may be lost, so a member repeats its complaint
    /// until it has a valid share. `is_needed` tells of which updates it needs one.
    pub(crate) fn complain_again(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        keys: &SealingKeys,
        is_needed: impl Fn(&Cx, &CommitmentDigest) -> bool,
    ) {
        let me = cx.me();
        let is_open = |(digest, share): (&CommitmentDigest, &Share)| {
            let contributor = commitments.get(digest).map(|known| known.contributor);
            *share == Share::Bad
                && !self.openings.has_wrong_opening(digest)
                && contributor.is_some_and(|contributor| contributor != me)
                && is_needed(cx, digest)
        };
        let open = self.tested.iter().filter(|it| is_open(*it));
        let open: Vec<CommitmentDigest> = open.map(|(digest, _)| *digest).collect();
        for digest in open {
            let asking = self.asking.entry(digest).or_default();
            asking.beats = asking.beats.saturating_add(1);
            self.ask(cx, commitments, keys, digest);
        }
    }

    fn ask(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        keys: &SealingKeys,
        commitment: CommitmentDigest,
    ) {
        let me = cx.me();
        let Some(contributor) = commitments.get(&commitment).map(|known| known.contributor) else {
            return;
        };
        let Some(sealing_key) = keys.of(me, cx.round()).cloned() else { return };
        let asking = self.asking.entry(commitment).or_default();
        let remedy = match asking.beats {
            _ if asking.wants_opening => Remedy::Open,
            0..=BEATS_UNTIL_PUBLIC => Remedy::Reseal,
            _ => Remedy::ResealInPublic,
        };
        let complaint = Complaint { commitment, sealing_key, remedy };
        let body = Body::Complaint(Box::new(complaint.clone()));
        if remedy == Remedy::Reseal {
            return cx.send(contributor, body);
        }
        if let Some(signature) = cx.sign(cx.round(), &body) {
            self.complaints.on_complaint(
                cx,
                (commitments, &self.openings),
                me,
                complaint,
                signature,
            );
            cx.broadcast_signed(body, signature);
        }
    }

    /// A complaint of `sender`. One about this member's own update is answered; a public one about
    /// another update is forwarded.
    pub(crate) fn on_complaint(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        sender: MemberIndex,
        complaint: Complaint,
        signature: Signature,
    ) {
        if commitments.own() == Some(complaint.commitment) {
            self.resealing.on_complaint(cx, &self.openings, sender, complaint);
        } else if complaint.remedy != Remedy::Reseal {
            let context = (commitments, &self.openings);
            self.complaints.on_complaint(cx, context, sender, complaint, signature);
        }
    }

    /// A share that the contributor `sender` has sealed again.
    pub(crate) fn on_resealed(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        sender: MemberIndex,
        (commitment, member): (CommitmentDigest, MemberIndex),
        (sealed, signature): (Vec<u8>, Signature),
    ) {
        if member != cx.me() {
            let body = Body::ResealedShare { commitment, member, sealed };
            return self.complaints.on_resealed(cx, sender, (commitment, member), body, signature);
        }
        let known = commitments.get(&commitment);
        if known.is_none_or(|known| known.contributor != sender)
            || self.state(&commitment) != Some(Share::Bad)
        {
            return cx.dropped("resealed share: not asked for");
        }
        let tag = Tag::CheckResealedShare(commitment);
        let asking = self.asking.entry(commitment).or_default();
        if asking.resealed >= MAX_RESEALS || cx.jobs.is_running(tag) {
            return cx.dropped("resealed share: too many");
        }
        asking.resealed = asking.resealed.saturating_add(1);
        let Some(update) = commitments.update(&commitment) else { return };
        let round = cx.round();
        cx.may_repeat(tag);
        cx.start(tag, Job::CheckResealedShare { round, update, sealed });
    }

    /// A resealed share that does not open proves nothing to others; only an opening does.
    pub(crate) fn on_resealed_checked(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        keys: &SealingKeys,
        (digest, valid): (CommitmentDigest, bool),
    ) {
        if commitments.get(&digest).is_none() || self.is_valid(&digest) {
            return;
        }
        if valid {
            self.tested.insert(digest, Share::Valid);
            self.asking.remove(&digest);
            self.complaints.answered((digest, cx.me()));
            return;
        }
        self.asking.entry(digest).or_default().wants_opening = true;
        self.ask(cx, commitments, keys, digest);
    }

    /// A contributor has opened a share.
    pub(crate) fn on_opening(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        sender: MemberIndex,
        of: (CommitmentDigest, MemberIndex),
        opening: (Vec<u8>, Signature),
    ) {
        self.openings.on_opening(cx, commitments, sender, of, opening);
    }

    /// The host has checked an opening.
    pub(crate) fn on_opening_checked(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        (digest, member): (CommitmentDigest, MemberIndex),
        valid: bool,
    ) {
        let Some(commitment) = commitments.get(&digest) else { return };
        if !valid {
            return self.openings.accuse(cx, commitment, (digest, member));
        }
        if member == cx.me() {
            self.tested.insert(digest, Share::Valid);
            self.asking.remove(&digest);
        }
        self.complaints.answered((digest, member));
        self.complaints.forward_opening(cx, commitments, &self.openings, (digest, member));
    }
}
