//! commit: commitments as they arrive: this member's own, those of others, and those in the
//! journal.

use std::sync::Arc;

use super::Collect;
use super::commitments::{Commitment, Commitments};
use crate::context::Cx;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::round::set_commitments::SetCommitments;
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, CommitmentBody, UpdateSet};

impl Collect {
    /// The host has sealed the shares of this member's own update. If it is `in_time`, it is
    /// announced; if it is too late, members that have reported will not list it, and the local
    /// progress is kept for the next round.
    pub(in crate::round) fn on_contribution(
        &mut self,
        cx: &mut Cx,
        set_commitments: &mut SetCommitments,
        body: CommitmentBody,
        in_time: bool,
    ) {
        let message = Body::Commitment(Box::new(body.clone()));
        if !message.is_within_bounds(cx.config.rules().member_count) {
            return cx.dropped("job: an impossible contribution");
        }
        if self.commitments.own().is_some() || !in_time {
            return cx.dropped("job: a late contribution");
        }
        if !cx.persist(Note::Committed(Box::new(body.clone()))) {
            return;
        }
        self.recall_own(cx, set_commitments, body);
        cx.broadcast(message);
    }

    /// This member's own commitment, fresh or from the journal.
    pub(in crate::round) fn recall_own(
        &mut self,
        cx: &mut Cx,
        set_commitments: &mut SetCommitments,
        body: CommitmentBody,
    ) {
        if let Some(digest) = self.commitments.insert_own(cx, body) {
            self.inserted(cx, set_commitments, None, &digest);
        }
    }

    /// A commitment of another member from the journal.
    pub(in crate::round) fn recall_kept(
        &mut self,
        cx: &mut Cx,
        set_commitments: &mut SetCommitments,
        decided: Option<&UpdateSet>,
        (contributor, body, signature): (MemberIndex, CommitmentBody, Signature),
    ) {
        let Some(digest) = Commitments::digest(cx, contributor, &body) else { return };
        set_commitments.recall(digest);
        if self.commitments.get(&digest).is_some() {
            return;
        }
        let commitment =
            Commitment { contributor, body: Arc::new(body), signature, recalled: true };
        self.commitments.insert(digest, commitment);
        self.inserted(cx, set_commitments, decided, &digest);
    }

    pub(in crate::round) fn on_commitment(
        &mut self,
        cx: &mut Cx,
        set_commitments: &mut SetCommitments,
        decided: Option<&UpdateSet>,
        (contributor, body, signature): (MemberIndex, CommitmentBody, Signature),
    ) {
        let Some(digest) = Commitments::digest(cx, contributor, &body) else { return };
        if self.commitments.get(&digest).is_some() {
            return;
        }
        let is_needed = set_commitments.arrived(&digest);
        let first = self.commitments.first_of(contributor).and_then(|it| self.commitments.get(it));
        match first {
            Some(first) => {
                let earlier = Body::Commitment(Box::new(first.body.as_ref().clone()));
                let now = (Body::Commitment(Box::new(body.clone())), signature);
                cx.equivocated(contributor, (earlier, first.signature), now);
                if !is_needed {
                    return;
                }
            }
            None if !is_needed && (cx.clock.commit_over || self.has_reported(cx)) => {
                return cx.dropped("commitment: after the deadline");
            }
            None => {}
        }
        let commitment =
            Commitment { contributor, body: Arc::new(body), signature, recalled: false };
        self.commitments.insert(digest, commitment);
        self.inserted(cx, set_commitments, decided, &digest);
    }

    /// Handles a new commitment: one of the decided set is persisted, and defects are noticed.
    fn inserted(
        &self,
        cx: &mut Cx,
        set_commitments: &mut SetCommitments,
        decided: Option<&UpdateSet>,
        digest: &CommitmentDigest,
    ) {
        set_commitments.arrived(digest);
        let entry = decided.and_then(|set| set.iter().find(|(_, decided)| decided == digest));
        if let Some(entry) = entry {
            set_commitments.keep(cx, &self.commitments, &[*entry]);
        }
        self.commitments.count_misshapen(cx, digest);
        self.availability.judge(cx, &self.commitments, digest);
    }
}
