//! transfer, at the dealer: a complaint is answered by sealing the share again, to the key in the complaint. That shows
//! nothing to anybody and is not counted. Only a member that asks for its share in clear after it has been sealed to again
//! is shown it: f members at most, by the journal, because that is how many may ask for it without need.

use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::limits::MAX_SEALED_AGAIN;
use crate::machine::{Machine, Question, Tag};
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, Complaint, Plea};

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
            if complaint.plea != Plea::Seal {
                self.note_complaint(sender, complaint, signature);
            }
            return;
        }
        let known = self.round.sealed_again.get(&sender);
        let was_sealed = known.is_some_and(|known| known.alone > 0 || known.in_public > 0);
        if complaint.plea == Plea::Show && was_sealed {
            self.show_share(sender, complaint.commitment);
        } else {
            self.seal_again(sender, complaint.sealing_key, complaint.plea);
        }
    }

    fn seal_again(&mut self, member: MemberIndex, sealing_key: Vec<u8>, plea: Plea) {
        if !self.may_answer(member, Question::Complaint) {
            return;
        }
        let known = self.round.sealed_again.entry(member).or_default();
        let in_public = plea != Plea::Seal;
        known.to_all |= in_public;
        let times = if in_public { &mut known.in_public } else { &mut known.alone };
        if *times >= MAX_SEALED_AGAIN {
            return self.dropped("complaint: sealed again too often");
        }
        *times = times.saturating_add(1);
        let (tag, round) = (Tag::SealAgain(member), self.round.number);
        self.may_repeat(tag);
        self.start(tag, Job::SealAgain { round, member, sealing_key });
    }

    /// The box, or `None` if nothing can be sealed to the key that `member` named: whoever asked with such a key in public is
    /// shown its share, or the others would think that it got no answer.
    pub(crate) fn sealed_again(&mut self, member: MemberIndex, sealed: Option<Vec<u8>>) {
        let Some(commitment) = self.round.own else { return };
        let Some(known) = self.round.sealed_again.get_mut(&member) else { return };
        let to_all = core::mem::take(&mut known.to_all);
        let Some(sealed) = sealed else {
            if to_all {
                self.show_share(member, commitment);
            }
            return;
        };
        let body = Body::Sealed { commitment, member, sealed };
        if !body.is_shaped(self.config.rules().member_count) {
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
            if !self.persist(Note::Shown(member)) {
                return;
            }
            self.round.complainers.insert(member);
        }
        let Some((preimage, signature)) = self.round.preimages.get(&(commitment, member)).cloned()
        else {
            let job = Job::RevealShare { round: self.round.number, member };
            return self.start(Tag::Reveal(member), job);
        };
        if !self.may_answer(member, Question::ShareInClear) {
            return;
        }
        let body = Body::Preimage { commitment, member, preimage };
        // To whoever has handed it on as well: the first time may have been lost there.
        let by = self.handed_over_by.filter(|by| *by != member);
        for to in std::iter::once(member).chain(by) {
            self.forward(to, self.config.me, body.clone(), signature);
        }
    }

    pub(crate) fn revealed(&mut self, member: MemberIndex, preimage: Vec<u8>) {
        let Some(commitment) = self.round.own else { return };
        let body = Body::Preimage { commitment, member, preimage: preimage.clone() };
        if !body.is_shaped(self.config.rules().member_count) {
            return self.dropped("job: an impossible preimage");
        }
        if let Some(signature) = self.sign(self.round.number, &body) {
            self.round.preimages.insert((commitment, member), (preimage, signature));
            self.broadcast(body, signature);
        }
    }
}
