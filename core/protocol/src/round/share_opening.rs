//! transfer: answers to complaints in clear. Everyone checks them; a wrong one is evidence against the dealer.

use super::state::Share;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Tag};
use crate::sign::Signature;
use crate::wire::Body;
use crate::wire::evidence::Evidence;

impl Machine {
    /// An answer of the dealer `sender` to a complaint of `member`. The first counts; a second that differs is proof of a lie.
    pub(super) fn take_share_opening(
        &mut self,
        sender: MemberIndex,
        (commitment, member): (Digest, MemberIndex),
        opening: Vec<u8>,
        signature: Signature,
    ) {
        let known = self.round.commitments.get(&commitment);
        if known.is_none_or(|known| known.author != sender || known.spoiled) {
            return self.dropped("share opening: of no commitment of its sender");
        }
        let tag = Tag::CheckShareOpening(commitment, member);
        match self.round.share_openings.get(&(commitment, member)) {
            Some((first, first_signature)) if *first != opening => {
                let said = |opening| Body::ShareOpening { commitment, member, opening };
                let first = (said(first.clone()), *first_signature);
                return self.equivocated(sender, first, (said(opening), signature));
            }
            // The check could not be made: the dealer's repeated answer starts it again.
            Some(_) if self.jobs.has_failed(tag) => {}
            Some(_) => return,
            None => {
                let answered =
                    self.round.share_openings.keys().filter(|(of, _)| *of == commitment).count();
                let limit = usize::from(self.config.rules().max_faulty);
                // The own share counts in any case: it is what this member complained for.
                if member != self.config.me && answered >= limit {
                    return self.dropped("share opening: more than there can be complaints");
                }
                let said = (opening.clone(), signature);
                self.round.share_openings.insert((commitment, member), said);
            }
        }
        let Some(dealer) = self.round.dealer(&commitment) else { return };
        let round = self.round.number;
        self.start(tag, Job::CheckShareOpening { round, update: dealer, member, opening });
    }

    /// A wrong opening is signed by the dealer and wrong for everyone who computes its digest: evidence.
    pub(crate) fn share_opening_checked(
        &mut self,
        digest: Digest,
        member: MemberIndex,
        valid: bool,
    ) {
        let me = self.config.me;
        let Some(commitment) = self.round.commitments.get_mut(&digest) else { return };
        if valid {
            if member == me {
                commitment.share = Share::Valid;
                self.round.asking.remove(&digest);
            }
            self.round.complaints.answered((digest, member));
            return self.hand_on_answer((digest, member));
        }
        commitment.spoiled = true;
        let author = commitment.author;
        let dealt = (commitment.body.as_ref().clone(), commitment.signature);
        if let Some((opening, signature)) =
            self.round.share_openings.get(&(digest, member)).cloned()
        {
            let body = Body::ShareOpening { commitment: digest, member, opening };
            let round = self.round.number;
            let evidence = Evidence::wrong_opening(author, round, dealt, (body, signature));
            self.ban(&evidence, &evidence.description());
        }
    }
}
