//! Complaints in public. A bad share costs its receiver the partial decryption of every set that
//! the update is in, so a contributor that gives f members bad shares and answers nobody can make
//! each round fail. Whether it deserved the complaint nobody else can tell, but everyone can see
//! whether it answers.
//!
//! Whoever hears a complaint in public hands it on to the contributor, directly, with its author's
//! signature, at every own heartbeat until it is answered. A contributor owes an answer when in
//! [`BEATS_UNTIL_OVERDUE`] intervals between own heartbeats, each at least one whole interval after
//! the complaint was first handed on, a heartbeat of the contributor's came while it could be
//! reached, and no answer. What is asked for decides what is an answer: a box, whatever is in it,
//! or the share in clear, if it is valid.
//!
//! An honest contributor answers everyone with a box, and f members in clear; honest members do not
//! ask it for more. So it owes nothing to whoever it can hear, by whichever way, and what f
//! byzantine members say cannot make it. One that is cut off is not heard, and owes nothing. What
//! follows for one that owes an answer when the round ends is in `members::exclusions`.

use std::collections::BTreeMap;

use super::commitments::Commitments;
use super::openings::Openings;
use crate::context::{Cx, Tag};
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::limits::{BEATS_UNTIL_OVERDUE, MAX_HANDED_ON};
use crate::sign::Signature;
use crate::wire::{Body, Complaint, Remedy};

/// A complaint in public, and what has become of it.
#[derive(Debug, Clone)]
struct Heard {
    contributor: MemberIndex,
    complaint: Complaint,
    signature: Signature,
    /// Own heartbeats at which it was handed on.
    beats: u32,
    /// The contributor was heard since the last one.
    spoke: bool,
    /// Intervals in which it was heard and could have answered.
    chances: u8,
    /// A box has come.
    boxed: bool,
    answered: bool,
    /// Times that an answer was handed on.
    handed_on: u8,
}

impl Heard {
    const fn new(contributor: MemberIndex, complaint: Complaint, signature: Signature) -> Self {
        Self {
            contributor,
            complaint,
            signature,
            beats: 0,
            spoke: false,
            chances: 0,
            boxed: false,
            answered: false,
            handed_on: 0,
        }
    }
}

/// Complaints in public of one round, by commitment and author.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublicComplaints(BTreeMap<(CommitmentDigest, MemberIndex), Heard>);

impl PublicComplaints {
    /// A heartbeat of `member` in this round has come.
    pub(crate) fn on_heartbeat(&mut self, member: MemberIndex) {
        for heard in self.0.values_mut().filter(|heard| heard.contributor == member) {
            heard.spoke = true;
        }
    }

    /// Contributors that owe an answer.
    pub(super) fn owing(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        let owes = |heard: &&Heard| !heard.answered && heard.chances >= BEATS_UNTIL_OVERDUE;
        self.0.values().filter(owes).map(|heard| heard.contributor)
    }

    /// A complaint in public about another member's update, by `author`, which may be this member.
    pub(super) fn on_complaint(
        &mut self,
        cx: &mut Cx,
        (commitments, openings): (&Commitments, &Openings),
        author: MemberIndex,
        complaint: Complaint,
        signature: Signature,
    ) {
        let of = (complaint.commitment, author);
        let known = commitments.get(&complaint.commitment);
        let Some(contributor) = known.map(|known| known.author).filter(|member| *member != author)
        else {
            return cx.dropped("complaint: about no update that is known");
        };
        match self.0.get(&of) {
            Some(first)
                if first.complaint.remedy == Remedy::Open || complaint.remedy != Remedy::Open =>
            {
                // Answered, as far as this member knows; its author may not have heard.
                if first.answered {
                    let body = Body::Complaint(Box::new(complaint));
                    cx.forward(contributor, author, body, signature);
                }
            }
            // The first, or it asks for more than before.
            _ => {
                self.0.insert(of, Heard::new(contributor, complaint, signature));
            }
        }
        // An answer may have come first.
        self.hand_on_opening(cx, commitments, openings, of);
    }

    /// A status tick: complaints that are not answered are handed on to their contributors.
    pub(super) fn tick(
        &mut self,
        cx: &mut Cx,
        (commitments, openings): (&Commitments, &Openings),
        is_reachable: impl Fn(MemberIndex) -> bool,
    ) {
        for ((commitment, author), heard) in &mut self.0 {
            let is_spoiled =
                commitments.get(commitment).is_none() || openings.is_spoiled(commitment);
            if heard.answered || is_spoiled {
                continue;
            }
            // Handed on at the last tick but one or before: what came since the last had a whole
            // interval.
            let reachable = is_reachable(heard.contributor);
            if core::mem::take(&mut heard.spoke) && reachable && heard.beats >= 2 {
                heard.chances = heard.chances.saturating_add(1);
            }
            heard.beats = heard.beats.saturating_add(1);
            let body = Body::Complaint(Box::new(heard.complaint.clone()));
            cx.forward(heard.contributor, *author, body, heard.signature);
        }
    }

    /// The contributor has sealed the share of another member again, which may not hear it: that is
    /// handed on. If more was asked for, at least the contributor has heard the complaint.
    pub(super) fn on_resealed(
        &mut self,
        cx: &mut Cx,
        contributor: MemberIndex,
        of: (CommitmentDigest, MemberIndex),
        body: Body,
        signature: Signature,
    ) {
        let Some(heard) = self.0.get_mut(&of).filter(|it| it.contributor == contributor) else {
            return;
        };
        if !heard.may_hand_on() {
            return;
        }
        if !heard.boxed {
            heard.boxed = true;
            (heard.beats, heard.chances) = (0, 0);
            heard.answered |= heard.complaint.remedy != Remedy::Open;
        }
        cx.forward(of.1, contributor, body, signature);
    }

    /// An answer in clear, valid or under check, goes on to whoever complained.
    pub(super) fn hand_on_opening(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        openings: &Openings,
        of: (CommitmentDigest, MemberIndex),
    ) {
        let (commitment, member) = of;
        let Some((opening, signature)) = openings.get(&of).cloned() else { return };
        let known = commitments.get(&commitment).filter(|_| !openings.is_spoiled(&commitment));
        let Some(contributor) = known.map(|known| known.author) else { return };
        if member == cx.me() || cx.jobs.is_running(Tag::CheckShareOpening(commitment, member)) {
            return;
        }
        let Some(heard) = self.0.get_mut(&of) else { return };
        if heard.may_hand_on() {
            heard.answered = true;
            let body = Body::ShareOpening { commitment, member, opening };
            cx.forward(member, contributor, body, signature);
        }
    }

    /// The contributor's answer is valid.
    pub(super) fn answered(&mut self, of: (CommitmentDigest, MemberIndex)) {
        if let Some(heard) = self.0.get_mut(&of) {
            heard.answered = true;
        }
    }
}

impl Heard {
    /// Whether an answer may be handed on once more to whoever complained.
    const fn may_hand_on(&mut self) -> bool {
        self.handed_on = self.handed_on.saturating_add(1);
        self.handed_on <= MAX_HANDED_ON
    }
}
