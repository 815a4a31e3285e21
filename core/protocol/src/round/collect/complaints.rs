//! Public complaints. A bad share costs its receiver the partial decryption of every set that the
//! update is in, so a contributor that gives bad shares to f members and answers nobody can make
//! each round fail. Nobody else can verify whether the complaint was justified, but everyone can
//! see whether it is answered.
//!
//! A member that receives a public complaint forwards it to the contributor directly, with the
//! complainant's signature, at every heartbeat of its own until it is answered. A contributor owes
//! an answer once there were [`BEATS_UNTIL_OVERDUE`] intervals between own heartbeats, each
//! beginning at least one whole interval after the complaint was first forwarded, in which a
//! heartbeat of the reachable contributor arrived and no answer did. What counts as an answer
//! depends on the remedy that was asked for: any sealed share, or a valid opening.
//!
//! An honest contributor reseals for everyone and opens the shares of f members; honest members ask
//! it for no more. So it owes nothing to any member whose complaints reach it, by whatever path,
//! and no statement of f Byzantine members can change that. A contributor that is cut off sends no
//! heartbeats that arrive, and owes nothing either. What follows for a contributor that owes an
//! answer at the end of the round is in `members::exclusions`.

use std::collections::BTreeMap;

use super::commitments::Commitments;
use super::openings::Openings;
use crate::context::{Cx, Tag};
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::limits::{BEATS_UNTIL_OVERDUE, MAX_HANDED_ON};
use crate::sign::Signature;
use crate::wire::{Body, Complaint, Remedy};

/// A public complaint, and what has become of it.
#[derive(Debug, Clone)]
struct Pending {
    contributor: MemberIndex,
    complaint: Complaint,
    signature: Signature,
    /// Number of own heartbeats at which it was forwarded.
    beats: u32,
    /// A heartbeat of the contributor has arrived since the last own one.
    contributor_seen: bool,
    /// Number of intervals in which the contributor could have answered and did not.
    missed: u8,
    /// A resealed share has arrived.
    resealed: bool,
    answered: bool,
    /// Number of times that an answer was forwarded.
    handed_on: u8,
}

impl Pending {
    const fn new(contributor: MemberIndex, complaint: Complaint, signature: Signature) -> Self {
        Self {
            contributor,
            complaint,
            signature,
            beats: 0,
            contributor_seen: false,
            missed: 0,
            resealed: false,
            answered: false,
            handed_on: 0,
        }
    }
}

/// The public complaints of one round, by commitment and complainant.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublicComplaints(BTreeMap<(CommitmentDigest, MemberIndex), Pending>);

impl PublicComplaints {
    /// Notes that a heartbeat of `member` in this round has arrived.
    pub(crate) fn on_heartbeat(&mut self, member: MemberIndex) {
        for pending in self.0.values_mut().filter(|pending| pending.contributor == member) {
            pending.contributor_seen = true;
        }
    }

    /// Contributors that owe an answer; one may occur more than once.
    pub(super) fn debtors(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        let owes = |pending: &&Pending| !pending.answered && pending.missed >= BEATS_UNTIL_OVERDUE;
        self.0.values().filter(owes).map(|pending| pending.contributor)
    }

    /// A public complaint of `complainant`, which may be this member, about another member's
    /// update.
    pub(super) fn on_complaint(
        &mut self,
        cx: &mut Cx,
        (commitments, openings): (&Commitments, &Openings),
        complainant: MemberIndex,
        complaint: Complaint,
        signature: Signature,
    ) {
        let of = (complaint.commitment, complainant);
        let known = commitments.get(&complaint.commitment);
        let Some(contributor) =
            known.map(|known| known.contributor).filter(|member| *member != complainant)
        else {
            return cx.dropped("complaint: about no update that is known");
        };
        match self.0.get(&of) {
            Some(first)
                if first.complaint.remedy == Remedy::Open || complaint.remedy != Remedy::Open =>
            {
                // Answered as far as this member knows, but the answer may not have reached the
                // complainant.
                if first.answered {
                    let body = Body::Complaint(Box::new(complaint));
                    cx.forward(contributor, complainant, body, signature);
                }
            }
            // The first complaint, or one that asks for more than the one before.
            _ => {
                self.0.insert(of, Pending::new(contributor, complaint, signature));
            }
        }
        // The answer may have arrived before the complaint.
        self.forward_opening(cx, commitments, openings, of);
    }

    /// A heartbeat tick: complaints without an answer are forwarded to their contributors.
    pub(super) fn tick(
        &mut self,
        cx: &mut Cx,
        (commitments, openings): (&Commitments, &Openings),
        is_reachable: impl Fn(MemberIndex) -> bool,
    ) {
        for ((commitment, complainant), pending) in &mut self.0 {
            let has_wrong_opening =
                commitments.get(commitment).is_none() || openings.has_wrong_opening(commitment);
            if pending.answered || has_wrong_opening {
                continue;
            }
            // Forwarded at the last tick but one or before, so the contributor had a whole
            // interval.
            let reachable = is_reachable(pending.contributor);
            if core::mem::take(&mut pending.contributor_seen) && reachable && pending.beats >= 2 {
                pending.missed = pending.missed.saturating_add(1);
            }
            pending.beats = pending.beats.saturating_add(1);
            let body = Body::Complaint(Box::new(pending.complaint.clone()));
            cx.forward(pending.contributor, *complainant, body, pending.signature);
        }
    }

    /// The contributor has resealed the share of another member, which may not have received it, so
    /// it is forwarded. If an opening was asked for, this shows at least that the contributor has
    /// received the complaint.
    pub(super) fn on_resealed(
        &mut self,
        cx: &mut Cx,
        contributor: MemberIndex,
        of: (CommitmentDigest, MemberIndex),
        body: Body,
        signature: Signature,
    ) {
        let Some(pending) = self.0.get_mut(&of).filter(|it| it.contributor == contributor) else {
            return;
        };
        if !pending.may_forward() {
            return;
        }
        if !pending.resealed {
            pending.resealed = true;
            (pending.beats, pending.missed) = (0, 0);
            pending.answered |= pending.complaint.remedy != Remedy::Open;
        }
        cx.forward(of.1, contributor, body, signature);
    }

    /// Forwards an opening, which is valid or still being checked, to the complainant.
    pub(super) fn forward_opening(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        openings: &Openings,
        of: (CommitmentDigest, MemberIndex),
    ) {
        let (commitment, member) = of;
        let Some((opening, signature)) = openings.get(&of).cloned() else { return };
        let known =
            commitments.get(&commitment).filter(|_| !openings.has_wrong_opening(&commitment));
        let Some(contributor) = known.map(|known| known.contributor) else { return };
        if member == cx.me() || cx.jobs.is_running(Tag::CheckShareOpening(commitment, member)) {
            return;
        }
        let Some(pending) = self.0.get_mut(&of) else { return };
        if pending.may_forward() {
            pending.answered = true;
            let body = Body::ShareOpening { commitment, member, opening };
            cx.forward(member, contributor, body, signature);
        }
    }

    /// Notes that the contributor's answer is valid.
    pub(super) fn answered(&mut self, of: (CommitmentDigest, MemberIndex)) {
        if let Some(pending) = self.0.get_mut(&of) {
            pending.answered = true;
        }
    }
}

impl Pending {
    /// Whether an answer may be forwarded to the complainant once more. Counts it if so.
    const fn may_forward(&mut self) -> bool {
        self.handed_on = self.handed_on.saturating_add(1);
        self.handed_on <= MAX_HANDED_ON
    }
}
