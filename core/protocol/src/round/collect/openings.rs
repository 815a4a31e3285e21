//! transfer: shares that contributors have shown in clear, in answer to complaints. Everyone checks
//! them; a wrong one is evidence against the contributor.

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
    /// Those of others under check or checked, the own ones to send them again.
    shown: BTreeMap<(CommitmentDigest, MemberIndex), (Vec<u8>, Signature)>,
    /// Updates whose contributor has shown what does not open its commitment.
    spoiled: BTreeSet<CommitmentDigest>,
}

impl Openings {
    /// Whether the contributor of an update has answered a complaint with what is wrong.
    pub(crate) fn is_spoiled(&self, update: &CommitmentDigest) -> bool {
        self.spoiled.contains(update)
    }

    pub(super) fn get(
        &self,
        of: &(CommitmentDigest, MemberIndex),
    ) -> Option<&(Vec<u8>, Signature)> {
        self.shown.get(of)
    }

    /// An own share that has been shown.
    pub(super) fn note_own(
        &mut self,
        of: (CommitmentDigest, MemberIndex),
        opening: (Vec<u8>, Signature),
    ) {
        self.shown.insert(of, opening);
    }

    /// An answer of the contributor `sender` to a complaint of `member`. The first counts; a second
    /// that differs is evidence.
    pub(super) fn on_opening(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        sender: MemberIndex,
        (commitment, member): (CommitmentDigest, MemberIndex),
        (opening, signature): (Vec<u8>, Signature),
    ) {
        let known = commitments.get(&commitment);
        if known.is_none_or(|known| known.author != sender) || self.is_spoiled(&commitment) {
            return cx.dropped("share opening: of no commitment of its sender");
        }
        let tag = Tag::CheckShareOpening(commitment, member);
        match self.shown.get(&(commitment, member)) {
            Some((first, first_signature)) if *first != opening => {
                let body = |opening| Body::ShareOpening { commitment, member, opening };
                let first = (body(first.clone()), *first_signature);
                return cx.equivocated(sender, first, (body(opening), signature));
            }
            // The check could not be made: the contributor's repeated answer starts it again.
            Some(_) if cx.jobs.has_failed(tag) => {}
            Some(_) => return,
            None => {
                let answered = self.shown.keys().filter(|(of, _)| *of == commitment).count();
                let limit = usize::from(cx.config.rules().max_faulty);
                // The own share counts in any case: it is what this member complained for.
                if member != cx.me() && answered >= limit {
                    return cx.dropped("share opening: more than there can be complaints");
                }
                self.shown.insert((commitment, member), (opening.clone(), signature));
            }
        }
        let Some(update) = commitments.update(&commitment) else { return };
        let round = cx.round();
        cx.start(tag, Job::CheckShareOpening { round, update, member, opening });
    }

    /// A wrong opening is signed by the contributor and wrong for everyone who computes its digest:
    /// evidence.
    pub(super) fn spoil(
        &mut self,
        cx: &mut Cx,
        commitment: &Commitment,
        (digest, member): (CommitmentDigest, MemberIndex),
    ) {
        self.spoiled.insert(digest);
        let contribution = (commitment.body.as_ref().clone(), commitment.signature);
        if let Some((opening, signature)) = self.shown.get(&(digest, member)).cloned() {
            let body = Body::ShareOpening { commitment: digest, member, opening };
            let opening = (body, signature);
            let (author, round) = (commitment.author, cx.round());
            cx.accuse(Evidence::wrong_opening(author, round, contribution, opening));
        }
    }
}
