//! The commitments that a set names: missing ones are requested, and those that others may need are
//! persisted, because their contributors may be gone when the round ends.
//!
//! A commitment is persisted before this member vouches for it in its report, and when it is in the
//! decided set. Every update of a set is listed by q - f reporters, so at least one honest member
//! beside its contributor has it on disk: whichever set is locked or decided, some member can
//! supply what opening it takes. The key that opened the sum is persisted before the first vote for
//! it, so a member that is locked on a sum can show others that it is right (`decryption`).

use std::collections::BTreeSet;

use super::collect::Commitments;
use crate::context::Cx;
use crate::ids::{CommitmentDigest, MemberIndex};
use crate::limits::MAX_REQUESTED_COMMITMENTS;
use crate::wire::journal::Note;
use crate::wire::{Body, UpdateSet};

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub(crate) struct SetCommitments {
    /// Those that a set names and that were not here when it was looked at.
    missing: BTreeSet<CommitmentDigest>,
    /// Those that are in the journal.
    kept: BTreeSet<CommitmentDigest>,
}

impl SetCommitments {
    /// Whether every commitment of `set` is known here; missing ones are requested.
    pub(crate) fn request(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        set: &UpdateSet,
    ) -> bool {
        let lacking: Vec<CommitmentDigest> =
            set.commitments().filter(|digest| commitments.get(digest).is_none()).collect();
        let new = lacking.iter().any(|digest| !self.missing.contains(digest));
        self.missing.extend(lacking.iter().copied());
        if new {
            self.ask(cx);
        }
        lacking.is_empty()
    }

    /// Requests the missing commitments from everyone; again at every heartbeat tick.
    pub(crate) fn ask(&self, cx: &mut Cx) {
        let missing: Vec<CommitmentDigest> =
            self.missing.iter().copied().take(MAX_REQUESTED_COMMITMENTS).collect();
        if !missing.is_empty() {
            cx.broadcast(Body::GetCommitments(missing));
        }
    }

    /// A commitment has arrived. Returns whether a set needs it, however late it is.
    pub(super) fn arrived(&mut self, digest: &CommitmentDigest) -> bool {
        self.missing.remove(digest)
    }

    /// Persists the commitments of `set` that are known here and not in the journal yet; this
    /// member's own one is there as such.
    pub(crate) fn keep(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        set: &[(MemberIndex, CommitmentDigest)],
    ) {
        let me = cx.me();
        for (_, digest) in set.iter().filter(|(contributor, _)| *contributor != me) {
            if self.kept.contains(digest) {
                continue;
            }
            let Some(known) = commitments.get(digest) else { continue };
            let (contributor, signature) = (known.contributor, known.signature);
            let body = Box::new(known.body.as_ref().clone());
            // If it cannot be written, nothing is lost but safety against absence: others may have
            // it.
            if cx.persist(Note::Kept { contributor, body, signature }) {
                self.kept.insert(*digest);
            }
        }
    }

    /// A commitment from the journal.
    pub(super) fn recall(&mut self, digest: CommitmentDigest) {
        self.kept.insert(digest);
    }
}
