//! transfer, when a share is bad: a signed complaint, answered by the dealer with the share's preimage in clear, which
//! everyone checks. An honest dealer answers at most f complaints, and each shows only what a faulty member had already.

use super::state::Share;
use crate::evidence::Evidence;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Question, Tag};
use crate::message::Body;
use crate::sign::Signature;

impl Machine {
    pub(crate) fn share_checked(&mut self, digest: Digest, valid: bool) {
        let Some(commitment) = self.round.commitments.get_mut(&digest) else { return };
        if commitment.share == Share::Valid {
            return;
        }
        commitment.share = if valid { Share::Valid } else { Share::Bad };
        if !valid && commitment.author != self.config.me {
            self.say(Body::Complaint(digest));
        }
    }

    /// Complaints and answers may be lost: complain on every status tick until answered.
    pub(crate) fn complain_again(&mut self) {
        let unanswered: Vec<Digest> = self
            .round
            .commitments
            .iter()
            .filter(|(_, c)| c.share == Share::Bad && !c.spoiled && c.author != self.config.me)
            .filter(|(digest, _)| !self.is_rejected(digest))
            .map(|(digest, _)| *digest)
            .collect();
        for digest in unanswered {
            self.say(Body::Complaint(digest));
        }
    }

    pub(super) fn take_complaint(&mut self, sender: MemberIndex, commitment: Digest) {
        if self.round.own != Some(commitment) {
            return;
        }
        let limit = usize::from(self.config.rules().max_faulty);
        let complainers = &mut self.round.complainers;
        if !complainers.contains(&sender) && complainers.len() >= limit {
            return self.dropped("complaint: more than there can be faulty members");
        }
        complainers.insert(sender);
        match self.round.preimages.get(&(commitment, sender)) {
            Some((preimage, signature)) => {
                let (preimage, signature) = (preimage.clone(), *signature);
                if !self.may_answer(sender, Question::Complaint) {
                    return;
                }
                let body = Body::Preimage { commitment, member: sender, preimage };
                self.forward(sender, self.config.me, body, signature);
            }
            None => {
                let job = Job::RevealShare { round: self.round.number, member: sender };
                self.start(Tag::Reveal(sender), job);
            }
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

    /// An answer of the dealer `sender` to a complaint of `member`. The first counts; a second that differs is proof of a lie.
    pub(super) fn take_preimage(
        &mut self,
        sender: MemberIndex,
        (commitment, member): (Digest, MemberIndex),
        preimage: Vec<u8>,
        signature: Signature,
    ) {
        let known = self.round.commitments.get(&commitment);
        if known.is_none_or(|known| known.author != sender || known.spoiled) {
            return self.dropped("preimage: of no commitment of its sender");
        }
        let tag = Tag::CheckPreimage(commitment, member);
        match self.round.preimages.get(&(commitment, member)) {
            Some((first, first_signature)) if *first != preimage => {
                let said = |preimage| Body::Preimage { commitment, member, preimage };
                let first = (said(first.clone()), *first_signature);
                return self.equivocated(sender, first, (said(preimage), signature));
            }
            // The check could not be made: the dealer's repeated answer starts it again.
            Some(_) if self.jobs.has_failed(tag) => {}
            Some(_) => return,
            None => {
                let answered =
                    self.round.preimages.keys().filter(|(of, _)| *of == commitment).count();
                let limit = usize::from(self.config.rules().max_faulty);
                // The own share counts in any case: it is what this member complained for.
                if member != self.config.me && answered >= limit {
                    return self.dropped("preimage: more than there can be complaints");
                }
                let said = (preimage.clone(), signature);
                self.round.preimages.insert((commitment, member), said);
            }
        }
        let Some(dealer) = self.round.dealer(&commitment) else { return };
        let round = self.round.number;
        self.start(tag, Job::CheckPreimage { round, dealer, member, preimage });
    }

    /// A wrong preimage is signed by the dealer and wrong for everyone who computes its digest: evidence.
    pub(crate) fn preimage_checked(&mut self, digest: Digest, member: MemberIndex, valid: bool) {
        let me = self.config.me;
        let Some(commitment) = self.round.commitments.get_mut(&digest) else { return };
        if valid {
            if member == me {
                commitment.share = Share::Valid;
            }
            return;
        }
        commitment.spoiled = true;
        let author = commitment.author;
        let dealt = (commitment.body.as_ref().clone(), commitment.signature);
        if let Some((preimage, signature)) = self.round.preimages.get(&(digest, member)).cloned() {
            let body = Body::Preimage { commitment: digest, member, preimage };
            let round = self.round.number;
            let evidence = Evidence::wrong_preimage(author, round, dealt, (body, signature));
            self.ban(&evidence, &evidence.description());
        }
    }
}
