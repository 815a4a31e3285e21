//! transfer: shares that contributors have opened in answer to complaints. Everyone checks an
//! opening; a wrong one is evidence against the contributor.

use std::collections::{BTreeMap, BTreeSet};

use super::commitments::{Commitment, Commitments};
use crate::context::{Cx, Tag};
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::job::Job;
use crate::sign::Signature;
use crate::wire::Body;
use crate::wire::evidence::Evidence;

/// Openings by commitment and the member whose share it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Openings {
    /// Those of others, checked or being checked; this member's own, to send them again.
    known: BTreeMap<(CommitmentDigest, MemberIndex), (Vec<u8>, Signature)>,
    /// Updates whose contributor has sent an opening that does not match its commitment.
    wrong: BTreeSet<CommitmentDigest>,
}

impl Openings {
    /// Whether the contributor of an update has answered a complaint with a wrong opening.
    pub(crate) fn has_wrong_opening(&self, update: &CommitmentDigest) -> bool {
        self.wrong.contains(update)
    }

    pub(super) fn get(
        &self,
        of: &(CommitmentDigest, MemberIndex),
    ) -> Option<&(Vec<u8>, Signature)> {
        self.known.get(of)
    }

    /// Notes an opened share of this member's own update.
    pub(super) fn note_own(
        &mut self,
        of: (CommitmentDigest, MemberIndex),
        opening: (Vec<u8>, Signature),
    ) {
        self.known.insert(of, opening);
    }

    /// An opening that the contributor `sender` sent in answer to a complaint of `member`. The
    /// first one counts; a second that differs is evidence.
    pub(super) fn on_opening(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        sender: MemberIndex,
        (commitment, member): (CommitmentDigest, MemberIndex),
        (opening, signature): (Vec<u8>, Signature),
    ) {
        let known = commitments.get(&commitment);
        if known.is_none_or(|known| known.contributor != sender)
            || self.has_wrong_opening(&commitment)
        {
            return cx.dropped("share opening: of no commitment of its sender");
        }
        let tag = Tag::CheckShareOpening(commitment, member);
        match self.known.get(&(commitment, member)) {
            Some((first, first_signature)) if *first != opening => {
                let body = |opening| Body::ShareOpening { commitment, member, opening };
                let first = (body(first.clone()), *first_signature);
                return cx.equivocated(sender, first, (body(opening), signature));
            }
            // The check failed to run: the repeated answer of the contributor starts it again.
            Some(_) if cx.jobs.has_failed(tag) => {}
            Some(_) => return,
            None => {
                let answered = self.known.keys().filter(|(of, _)| *of == commitment).count();
                let limit = usize::from(cx.config.rules().max_faulty);
                // This member's own share is checked in any case: it is what this member
                // complained for.
                if member != cx.me() && answered >= limit {
                    return cx.dropped("share opening: more than there can be complaints");
                }
                self.known.insert((commitment, member), (opening.clone(), signature));
            }
        }
        let Some(update) = commitments.update(&commitment) else { return };
        let round = cx.round();
        cx.start(tag, Job::CheckShareOpening { round, update, member, opening });
    }

    /// A wrong opening is signed by the contributor, and everyone who computes its digest finds it
    /// wrong: it is evidence.
    pub(super) fn accuse(
        &mut self,
        cx: &mut Cx,
        commitment: &Commitment,
        (digest, member): (CommitmentDigest, MemberIndex),
    ) {
        self.wrong.insert(digest);
        let contribution = (commitment.body.as_ref().clone(), commitment.signature);
        if let Some((opening, signature)) = self.known.get(&(digest, member)).cloned() {
            let body = Body::ShareOpening { commitment: digest, member, opening };
            let opening = (body, signature);
            let (contributor, round) = (commitment.contributor, cx.round());
            cx.accuse(Evidence::wrong_opening(contributor, round, contribution, opening));
        }
    }
}
