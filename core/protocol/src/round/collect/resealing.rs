//! transfer, at the contributor: a complaint is answered by sealing the share again, to the key
//! that the complaint names. That discloses nothing to anybody and is not counted. A share is
//! opened only for a member that asks for it after its share has been resealed, and for at most f
//! members, tracked in the journal: that many may ask without need.

use std::collections::{BTreeMap, BTreeSet};

use super::openings::Openings;
use crate::context::{Cx, Question, Tag};
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::job::Job;
use crate::limits::MAX_RESEALS;
use crate::wire::journal::Note;
use crate::wire::{Body, Complaint, Remedy};

/// What one complainant has been sent.
#[derive(Debug, Clone, Default)]
struct Resealed {
    /// Number of resealed shares that it asked for alone, and in public.
    alone: u8,
    in_public: u8,
    /// The next resealed share is broadcast, because the complainant may not be reachable.
    to_all: bool,
}

/// Answers to complaints about this member's own update.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resealing {
    resealed: BTreeMap<MemberIndex, Resealed>,
    /// Members whose share of this member's own update has been opened, as the journal has it.
    opened: BTreeSet<MemberIndex>,
}

impl Resealing {
    /// The journal has it that the share of `member` has been opened.
    pub(crate) fn recall_opened(&mut self, member: MemberIndex) {
        self.opened.insert(member);
    }

    pub(super) fn on_complaint(
        &mut self,
        cx: &mut Cx,
        openings: &Openings,
        sender: MemberIndex,
        complaint: Complaint,
    ) {
        let known = self.resealed.get(&sender);
        let was_sealed = known.is_some_and(|known| known.alone > 0 || known.in_public > 0);
        if complaint.remedy == Remedy::Open && was_sealed {
            self.open_share(cx, openings, (complaint.commitment, sender));
        } else {
            self.reseal(cx, sender, complaint.sealing_key, complaint.remedy);
        }
    }

    fn reseal(&mut self, cx: &mut Cx, member: MemberIndex, sealing_key: Vec<u8>, remedy: Remedy) {
        if !cx.may_answer(member, Question::Complaint) {
            return;
        }
        let known = self.resealed.entry(member).or_default();
        let in_public = remedy != Remedy::Reseal;
        known.to_all |= in_public;
        let times = if in_public { &mut known.in_public } else { &mut known.alone };
        if *times >= MAX_RESEALS {
            return cx.dropped("complaint: resealed too often");
        }
        *times = times.saturating_add(1);
        let (tag, round) = (Tag::ResealShare(member), cx.round());
        cx.may_repeat(tag);
        cx.start(tag, Job::ResealShare { round, member, sealing_key });
    }

    /// The host has resealed a share of this member's own update; `None` if nothing can be sealed
    /// to the key that `member` named. Whoever asked with such a key in public gets its share
    /// opened, or the others would conclude that it got no answer.
    pub(crate) fn on_resealed(
        &mut self,
        cx: &mut Cx,
        openings: &Openings,
        (commitment, member): (CommitmentDigest, MemberIndex),
        sealed: Option<Vec<u8>>,
    ) {
        let Some(known) = self.resealed.get_mut(&member) else { return };
        let to_all = core::mem::take(&mut known.to_all);
        let Some(sealed) = sealed else {
            if to_all {
                self.open_share(cx, openings, (commitment, member));
            }
            return;
        };
        let body = Body::ResealedShare { commitment, member, sealed };
        if !body.is_within_bounds(cx.config.rules().member_count) {
            return cx.dropped("job: an impossible sealed share");
        }
        if to_all {
            cx.broadcast(body);
        } else {
            cx.send(member, body);
        }
    }

    fn open_share(
        &mut self,
        cx: &mut Cx,
        openings: &Openings,
        of: (CommitmentDigest, MemberIndex),
    ) {
        let (commitment, member) = of;
        let limit = usize::from(cx.config.rules().max_faulty);
        if !self.opened.contains(&member) {
            if self.opened.len() >= limit {
                return cx.dropped("complaint: more than there can be faulty members");
            }
            if !cx.persist(Note::ShareOpened(member)) {
                return;
            }
            self.opened.insert(member);
        }
        let Some((opening, signature)) = openings.get(&of).cloned() else {
            let job = Job::OpenShare { round: cx.round(), member };
            return cx.start(Tag::Reveal(member), job);
        };
        if !cx.may_answer(member, Question::ShareInClear) {
            return;
        }
        let body = Body::ShareOpening { commitment, member, opening };
        // Also to the member that forwarded the complaint: the first copy may have been lost there.
        let by = cx.handed_over_by.filter(|by| *by != member);
        for to in std::iter::once(member).chain(by) {
            cx.forward(to, cx.me(), body.clone(), signature);
        }
    }

    /// The host has opened a share of this member's own update; it is broadcast.
    pub(crate) fn on_opened(
        cx: &mut Cx,
        openings: &mut Openings,
        (commitment, member): (CommitmentDigest, MemberIndex),
        opening: Vec<u8>,
    ) {
        let body = Body::ShareOpening { commitment, member, opening: opening.clone() };
        if !body.is_within_bounds(cx.config.rules().member_count) {
            return cx.dropped("job: an impossible opening");
        }
        if let Some(signature) = cx.sign(cx.round(), &body) {
            openings.note_own((commitment, member), (opening, signature));
            cx.broadcast_signed(body, signature);
        }
    }
}
