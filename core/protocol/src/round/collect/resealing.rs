//! transfer, at the contributor: a complaint is answered by sealing the share again, to the key in
//! the complaint. That shows nothing to anybody and is not counted. Only a member that asks for its
//! share in clear after it has been sealed to again is shown it: f members at most, by the journal,
//! because that is how many may ask for it without need.

use std::collections::{BTreeMap, BTreeSet};

use super::openings::Openings;
use crate::context::{Cx, Question, Tag};
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::job::Job;
use crate::limits::MAX_RESEALS;
use crate::wire::journal::Note;
use crate::wire::{Body, Complaint, Remedy};

/// What a member has been given that asked for its box again.
#[derive(Debug, Clone, Default)]
struct Resealed {
    /// Boxes that it asked for alone, and in public.
    alone: u8,
    in_public: u8,
    /// The next box goes to everyone: whoever asked may not be reached.
    to_all: bool,
}

/// Answers to complaints about the own update.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resealing {
    resealed: BTreeMap<MemberIndex, Resealed>,
    /// Members whose share in the own update is shown in clear, by the journal.
    shown: BTreeSet<MemberIndex>,
}

impl Resealing {
    /// The journal says that the share of `member` is shown in clear.
    pub(crate) fn recall_shown(&mut self, member: MemberIndex) {
        self.shown.insert(member);
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
            self.show(cx, openings, (complaint.commitment, sender));
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
            return cx.dropped("complaint: sealed again too often");
        }
        *times = times.saturating_add(1);
        let (tag, round) = (Tag::ResealShare(member), cx.round());
        cx.may_repeat(tag);
        cx.start(tag, Job::ResealShare { round, member, sealing_key });
    }

    /// The host has sealed a share of the own update again; `None` if nothing can be sealed to the
    /// key that `member` named: whoever asked with such a key in public is shown its share, or the
    /// others would think that it got no answer.
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
                self.show(cx, openings, (commitment, member));
            }
            return;
        };
        let body = Body::ResealedShare { commitment, member, sealed };
        if !body.is_within_bounds(cx.config.rules().member_count) {
            return cx.dropped("job: an impossible box");
        }
        if to_all {
            cx.broadcast(body);
        } else {
            cx.send(member, body);
        }
    }

    fn show(&mut self, cx: &mut Cx, openings: &Openings, of: (CommitmentDigest, MemberIndex)) {
        let (commitment, member) = of;
        let limit = usize::from(cx.config.rules().max_faulty);
        if !self.shown.contains(&member) {
            if self.shown.len() >= limit {
                return cx.dropped("complaint: more than there can be faulty members");
            }
            if !cx.persist(Note::ShareOpened(member)) {
                return;
            }
            self.shown.insert(member);
        }
        let Some((opening, signature)) = openings.get(&of).cloned() else {
            let job = Job::OpenShare { round: cx.round(), member };
            return cx.start(Tag::Reveal(member), job);
        };
        if !cx.may_answer(member, Question::ShareInClear) {
            return;
        }
        let body = Body::ShareOpening { commitment, member, opening };
        // To whoever has handed it on as well: the first time may have been lost there.
        let by = cx.handed_over_by.filter(|by| *by != member);
        for to in std::iter::once(member).chain(by) {
            cx.forward(to, cx.me(), body.clone(), signature);
        }
    }

    /// The host has opened a share of the own update: everyone is shown it.
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
