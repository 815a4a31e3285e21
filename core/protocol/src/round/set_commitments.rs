//! Commitments that a set names: they are asked for where they are missing, and they are in the
//! journals of those that need them, because their authors may be gone when the round ends.
//!
//! A commitment is kept before this member vouches for it in its report, and when it is in the
//! decided set. Every update of a set is listed by q - f reporters, so at least one honest one
//! beside its author has it on disk: in whichever way a set is found, locked or decided, somebody
//! can hand on what opening it takes. The key that opened the sum is kept before the first vote for
//! it: whoever is locked on a sum can show the others that it is right (`decryption`).

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
    /// Whether every commitment of `set` is here; those that are not are asked for.
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

    /// Asks everyone for what is missing; again at every status tick.
    pub(crate) fn ask(&self, cx: &mut Cx) {
        let missing: Vec<CommitmentDigest> =
            self.missing.iter().copied().take(MAX_REQUESTED_COMMITMENTS).collect();
        if !missing.is_empty() {
            cx.broadcast(Body::GetCommitments(missing));
        }
    }

    /// A commitment has come. Returns whether a set needs it, however late it is.
    pub(super) fn arrived(&mut self, digest: &CommitmentDigest) -> bool {
        self.missing.remove(digest)
    }

    /// Writes down the commitments of `set` that are here and not in the journal yet; the own one
    /// is there as such.
    pub(crate) fn keep(
        &mut self,
        cx: &mut Cx,
        commitments: &Commitments,
        set: &[(MemberIndex, CommitmentDigest)],
    ) {
        let me = cx.me();
        for (_, digest) in set.iter().filter(|(author, _)| *author != me) {
            if self.kept.contains(digest) {
                continue;
            }
            let Some(known) = commitments.get(digest) else { continue };
            let (author, signature) = (known.author, known.signature);
            let body = Box::new(known.body.as_ref().clone());
            // If it cannot be written it is as good as before: others may have it.
            if cx.persist(Note::Kept { author, body, signature }) {
                self.kept.insert(*digest);
            }
        }
    }

    /// A commitment from the journal.
    pub(super) fn recall(&mut self, digest: CommitmentDigest) {
        self.kept.insert(digest);
    }
}
