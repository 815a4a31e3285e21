//! transfer, when a share is bad: a signed complaint, answered by the dealer with the share's preimage in clear, which
//! everyone checks. An honest dealer answers at most f complaints, and each shows only what a faulty member had already.

use super::state::Share;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Tag};
use crate::message::Body;

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
            Some(preimage) => {
                let preimage = preimage.clone();
                self.tell(sender, Body::Preimage { commitment, member: sender, preimage });
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
        self.round.preimages.insert((commitment, member), preimage);
        self.say(body);
    }

    pub(super) fn take_preimage(
        &mut self,
        sender: MemberIndex,
        commitment: Digest,
        member: MemberIndex,
        preimage: Vec<u8>,
    ) {
        let known = self.round.commitments.get(&commitment);
        if known.is_none_or(|known| known.author != sender || known.spoiled) {
            return self.dropped("preimage: of no commitment of its sender");
        }
        if self.round.preimages.contains_key(&(commitment, member)) {
            return;
        }
        let answered = self.round.preimages.keys().filter(|(of, _)| *of == commitment).count();
        if answered > usize::from(self.config.rules().max_faulty) {
            return self.dropped("preimage: more than there can be complaints");
        }
        let Some(dealer) = self.round.dealer(&commitment) else { return };
        self.round.preimages.insert((commitment, member), preimage.clone());
        let round = self.round.number;
        let job = Job::CheckPreimage { round, dealer, member, preimage };
        self.start(Tag::CheckPreimage(commitment, member), job);
    }

    pub(crate) fn preimage_checked(&mut self, digest: Digest, member: MemberIndex, valid: bool) {
        let me = self.config.me;
        let Some(commitment) = self.round.commitments.get_mut(&digest) else { return };
        if !valid {
            commitment.spoiled = true;
        } else if member == me {
            commitment.share = Share::Valid;
        }
    }
}
