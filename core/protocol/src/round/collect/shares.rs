//! transfer: every member pulls its own sealed share of each update and tests it.
//!
//! A member without a valid share (its box does not open, fails the test, or there is none, because
//! its sealing key came late) asks the contributor for another box, sealed to the key that it
//! names: the contributor alone, and after some heartbeats without an answer in public, so that
//! others hand it on. Only if such a box does not open either it asks for the share in clear: the
//! answer is the opening of the share's commitment, which everyone checks (`openings`).

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

/// What is known of the own share in an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Valid,
    /// The box does not open to its digest, or fails the test.
    Bad,
}

/// How a share has been asked for.
#[derive(Debug, Clone, Default)]
struct Asking {
    /// Own heartbeats since the first time.
    beats: u8,
    /// Boxes that have come.
    boxes: u8,
    /// One of them did not open.
    in_clear: bool,
}

/// The own shares in all updates, and what is said where one is bad.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    /// Shares that have been tested.
    tested: BTreeMap<CommitmentDigest, Share>,
    /// Updates whose share is asked for again.
    asking: BTreeMap<CommitmentDigest, Asking>,
    pub(super) openings: Openings,
    pub(crate) complaints: PublicComplaints,
    pub(crate) resealing: Resealing,
}

impl Shares {
    pub(super) fn state(&self, update: &CommitmentDigest) -> Option<Share> {
        self.tested.get(update).copied()
    }

    /// Whether the own share in an update is valid.
    pub(crate) fn is_valid(&self, update: &CommitmentDigest) -> bool {
        self.state(update) == Some(Share::Valid)
    }

    /// Pulls and tests the own share. Returns whether it is valid.
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
        let sealed = commitment.body.boxes.get(cx.me().position()).copied().flatten();
        let author = commitment.author;
        // Without a box it may be here all the same: sealed again, before a restart.
        let here = sealed.is_none_or(|sealed| {
            let holders = |cx: &Cx| availability.holders_for(cx, members, digest, author);
            cx.request(sealed, Purpose::Share, holders)
        });
        if here && let Some(update) = commitments.update(digest) {
            let round = cx.round();
            cx.start(Tag::CheckShare(*digest), Job::CheckShare { round, update });
        }
        false
    }

    /// The host has opened the own box of an update and tested the share.
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
        if !valid && commitment.author != cx.me() {
            self.ask(cx, commitments, keys, digest);
        }
    }

    /// A status tick: complaints and answers may be lost, so a member complains until there is a
    /// share. `is_needed` says of which updates one is.
    pub(crate) fn complain_again(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        keys: &SealingKeys,
        is_needed: impl Fn(&Cx, &CommitmentDigest) -> bool,
    ) {
        let me = cx.me();
        let is_open = |(digest, share): (&CommitmentDigest, &Share)| {
            let author = commitments.get(digest).map(|known| known.author);
            *share == Share::Bad
                && !self.openings.is_spoiled(digest)
                && author.is_some_and(|author| author != me)
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
        let Some(contributor) = commitments.get(&commitment).map(|known| known.author) else {
            return;
        };
        let Some(sealing_key) = keys.of(me, cx.round()).cloned() else { return };
        let asking = self.asking.entry(commitment).or_default();
        let remedy = match asking.beats {
            _ if asking.in_clear => Remedy::Open,
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

    /// A complaint of `sender`: about the own update it is answered, about another one it is handed
    /// on if it is in public.
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

    /// A box that the contributor `sender` has sealed again.
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
        if known.is_none_or(|known| known.author != sender)
            || self.state(&commitment) != Some(Share::Bad)
        {
            return cx.dropped("resealed share: not asked for");
        }
        let tag = Tag::CheckResealedShare(commitment);
        let asking = self.asking.entry(commitment).or_default();
        if asking.boxes >= MAX_RESEALS || cx.jobs.is_running(tag) {
            return cx.dropped("resealed share: too many");
        }
        asking.boxes = asking.boxes.saturating_add(1);
        let Some(update) = commitments.update(&commitment) else { return };
        let round = cx.round();
        cx.may_repeat(tag);
        cx.start(tag, Job::CheckResealedShare { round, update, sealed });
    }

    /// A box that does not open proves nothing to others: what is in it is shown only in clear.
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
        self.asking.entry(digest).or_default().in_clear = true;
        self.ask(cx, commitments, keys, digest);
    }

    /// A contributor has shown a share in clear.
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

    /// The host has checked a share that was shown in clear.
    pub(crate) fn on_opening_checked(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        (digest, member): (CommitmentDigest, MemberIndex),
        valid: bool,
    ) {
        let Some(commitment) = commitments.get(&digest) else { return };
        if !valid {
            return self.openings.spoil(cx, commitment, (digest, member));
        }
        if member == cx.me() {
            self.tested.insert(digest, Share::Valid);
            self.asking.remove(&digest);
        }
        self.complaints.answered((digest, member));
        self.complaints.hand_on_opening(cx, commitments, &self.openings, (digest, member));
    }
}
