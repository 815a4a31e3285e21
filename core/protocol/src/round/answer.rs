//! transfer, at the dealer: a complaint is answered by sealing the share again, to the key in the complaint. That shows
//! nothing to anybody and is not counted. Only a member that asks for its share in clear after it has been sealed to again
//! is shown it: f members at most, by the journal, because that is how many may ask for it without need.

use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::limits::MAX_RESEALS;
use crate::machine::{Machine, Question, Tag};
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, Complaint, Remedy};

/// What a member has been given that asked for its box again.
#[derive(Debug, Clone, Default)]
pub(crate) struct SealedAgain {
    /// Boxes that it asked for alone, and in public.
    alone: u8,
    in_public: u8,
    /// The next box goes to everyone: whoever asked may not be reached.
    to_all: bool,
}

impl Machine {
    pub(super) fn take_complaint(
        &mut self,
        sender: MemberIndex,
        complaint: Complaint,
        signature: Signature,
    ) {
        if self.round.own != Some(complaint.commitment) {
            if complaint.remedy != Remedy::Reseal {
                self.note_complaint(sender, complaint, signature);
            }
            return;
        }
        let known = self.round.resealed.get(&sender);
        let was_sealed = known.is_some_and(|known| known.alone > 0 || known.in_public > 0);
        if complaint.remedy == Remedy::Open && was_sealed {
            self.show_share(sender, complaint.commitment);
        } else {
            self.seal_again(sender, complaint.sealing_key, complaint.remedy);
        }
    }

    fn seal_again(&mut self, member: MemberIndex, sealing_key: Vec<u8>, remedy: Remedy) {
        if !self.may_answer(member, Question::Complaint) {
            return;
        }
        let known = self.round.resealed.entry(member).or_default();
        let in_public = remedy != Remedy::Reseal;
        known.to_all |= in_public;
        let times = if in_public { &mut known.in_public } else { &mut known.alone };
        if *times >= MAX_RESEALS {
            return self.dropped("complaint: sealed again too often");
        }
        *times = times.saturating_add(1);
        let (tag, round) = (Tag::ResealShare(member), self.round.number);
        self.may_repeat(tag);
        self.start(tag, Job::ResealShare { round, member, sealing_key });
    }

    /// The box, or `None` if nothing can be sealed to the key that `member` named: whoever asked with such a key in public is
    /// shown its share, or the others would think that it got no answer.
    pub(crate) fn resealed(&mut self, member: MemberIndex, sealed: Option<Vec<u8>>) {
        let Some(commitment) = self.round.own else { return };
        let Some(known) = self.round.resealed.get_mut(&member) else { return };
        let to_all = core::mem::take(&mut known.to_all);
        let Some(sealed) = sealed else {
            if to_all {
                self.show_share(member, commitment);
            }
            return;
        };
        let body = Body::ResealedShare { commitment, member, sealed };
        if !body.is_within_bounds(self.config.rules().member_count) {
            return self.dropped("job: an impossible box");
        }
        if to_all {
            self.say(body);
        } else {
            self.tell(member, body);
        }
    }

    fn show_share(&mut self, member: MemberIndex, commitment: Digest) {
        let limit = usize::from(self.config.rules().max_faulty);
        if !self.round.complainers.contains(&member) {
            if self.round.complainers.len() >= limit {
                return self.dropped("complaint: more than there can be faulty members");
            }
            if !self.persist(Note::ShareOpened(member)) {
                return;
            }
            self.round.complainers.insert(member);
        }
        let Some((opening, signature)) =
            self.round.share_openings.get(&(commitment, member)).cloned()
        else {
            let job = Job::OpenShare { round: self.round.number, member };
            return self.start(Tag::Reveal(member), job);
        };
        if !self.may_answer(member, Question::ShareInClear) {
            return;
        }
        let body = Body::ShareOpening { commitment, member, opening };
        // To whoever has handed it on as well: the first time may have been lost there.
        let by = self.handed_over_by.filter(|by| *by != member);
        for to in std::iter::once(member).chain(by) {
            self.forward(to, self.config.me, body.clone(), signature);
        }
    }

    pub(crate) fn revealed(&mut self, member: MemberIndex, opening: Vec<u8>) {
        let Some(commitment) = self.round.own else { return };
        let body = Body::ShareOpening { commitment, member, opening: opening.clone() };
        if !body.is_within_bounds(self.config.rules().member_count) {
            return self.dropped("job: an impossible opening");
        }
        if let Some(signature) = self.sign(self.round.number, &body) {
            self.round.share_openings.insert((commitment, member), (opening, signature));
            self.broadcast(body, signature);
        }
    }
}
