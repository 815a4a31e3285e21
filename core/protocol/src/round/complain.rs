//! transfer, at a member without a valid share: its box does not open, fails the test, or there is none, because its sealing
//! key came late. It asks the dealer for another box, sealed to the key that it names: the dealer alone, and after some
//! heartbeats without an answer in public, so that others hand it on. Only if such a box does not open either it asks for
//! the share in clear: the answer is the share's opening, which everyone checks.

use super::state::Share;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::limits::{BEATS_UNTIL_PUBLIC, MAX_RESEALS};
use crate::machine::{Machine, Tag};
use crate::sign::Signature;
use crate::wire::{Body, Complaint, Remedy};

/// How a share has been asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asking {
    /// Own heartbeats since the first time.
    beats: u8,
    /// Boxes that have come.
    boxes: u8,
    /// One of them did not open.
    in_clear: bool,
}

impl Machine {
    pub(crate) fn share_checked(&mut self, digest: Digest, valid: bool) {
        let Some(commitment) = self.round.commitments.get_mut(&digest) else { return };
        if commitment.share == Share::Valid {
            return;
        }
        commitment.share = if valid { Share::Valid } else { Share::Bad };
        if !valid && commitment.author != self.config.me {
            self.ask_for_share(digest);
        }
    }

    /// Complaints and answers may be lost: complain on every status tick until there is a share.
    pub(crate) fn complain_again(&mut self) {
        let unanswered: Vec<Digest> = self
            .round
            .commitments
            .iter()
            .filter(|(_, c)| c.share == Share::Bad && !c.spoiled && c.author != self.config.me)
            .filter(|(digest, _)| !self.is_rejected(digest))
            .map(|(digest, _)| *digest)
            .filter(|digest| self.is_needed(digest))
            .collect();
        for digest in unanswered {
            let asking = self.round.asking.entry(digest).or_default();
            asking.beats = asking.beats.saturating_add(1);
            self.ask_for_share(digest);
        }
    }

    /// Once the set is decided, other updates do not matter.
    fn is_needed(&self, digest: &Digest) -> bool {
        let decided = self.round.decided.as_ref();
        decided.is_none_or(|(set, _)| set.iter().any(|(_, decided)| decided == digest))
    }

    fn ask_for_share(&mut self, commitment: Digest) {
        let me = self.config.me;
        let Some(dealer) = self.round.commitments.get(&commitment).map(|known| known.author) else {
            return;
        };
        let Some(sealing_key) = self.key_of(me).cloned() else { return };
        let asking = self.round.asking.entry(commitment).or_default();
        let remedy = match asking.beats {
            _ if asking.in_clear => Remedy::Open,
            0..=BEATS_UNTIL_PUBLIC => Remedy::Reseal,
            _ => Remedy::ResealInPublic,
        };
        let complaint = Complaint { commitment, sealing_key, remedy };
        let body = Body::Complaint(Box::new(complaint.clone()));
        if remedy == Remedy::Reseal {
            return self.tell(dealer, body);
        }
        if let Some(signature) = self.sign(self.round.number, &body) {
            self.note_complaint(me, complaint, signature);
            self.broadcast(body, signature);
        }
    }

    /// A box that the dealer `sender` has sealed again.
    pub(super) fn take_sealed(
        &mut self,
        sender: MemberIndex,
        (commitment, member): (Digest, MemberIndex),
        sealed: Vec<u8>,
        signature: Signature,
    ) {
        if member != self.config.me {
            let body = Body::ResealedShare { commitment, member, sealed };
            return self.hand_on_box(sender, (commitment, member), body, signature);
        }
        let known = self.round.commitments.get(&commitment);
        if known.is_none_or(|known| known.author != sender || known.share != Share::Bad) {
            return self.dropped("resealed share: not asked for");
        }
        let tag = Tag::CheckResealedShare(commitment);
        let asking = self.round.asking.entry(commitment).or_default();
        if asking.boxes >= MAX_RESEALS || self.jobs.is_running(tag) {
            return self.dropped("resealed share: too many");
        }
        asking.boxes = asking.boxes.saturating_add(1);
        let Some(dealer) = self.round.dealer(&commitment) else { return };
        let round = self.round.number;
        self.may_repeat(tag);
        self.start(tag, Job::CheckResealedShare { round, update: dealer, sealed });
    }

    /// A box that does not open proves nothing to others: what is in it is shown only in clear.
    pub(crate) fn box_checked(&mut self, digest: Digest, valid: bool) {
        let Some(commitment) = self.round.commitments.get_mut(&digest) else { return };
        if commitment.share == Share::Valid {
            return;
        }
        if valid {
            commitment.share = Share::Valid;
            self.round.asking.remove(&digest);
            self.round.complaints.answered((digest, self.config.me));
            return;
        }
        self.round.asking.entry(digest).or_default().in_clear = true;
        self.ask_for_share(digest);
    }
}
