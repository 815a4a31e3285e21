//! What an update of this round looks like is known before anything of one is fetched: layout and lengths follow from
//! mask, preset, manifest and the adapter that the round starts from. A commitment to something else is never fetched, listed or
//! waited for: its author could otherwise have every disk of the committee filled by a few hundred bytes.

use super::state::RoundState;
use crate::ids::{Digest, MemberIndex};
use crate::job::{Job, UpdateShape};
use crate::machine::{Machine, Tag};
use crate::status::Refusal;

impl RoundState {
    /// What is wrong with the commitment to an update, by itself; nothing as long as the round's shape is not known.
    pub(crate) fn misshape_of(&self, update: &Digest) -> Option<Refusal> {
        let (shape, known) = self.shape.as_ref().zip(self.commitments.get(update))?;
        let body = &known.body;
        if body.layout != shape.layout {
            return Some(Refusal::Layout);
        }
        let fits = body.ciphertext.length == shape.ciphertext_bytes
            && body.boxes.iter().flatten().all(|sealed| sealed.length == shape.box_bytes);
        (!fits).then_some(Refusal::Length)
    }
}

impl Machine {
    /// Whether the shape of the round's updates is known; the first question asks the host.
    pub(super) fn is_prepared(&mut self) -> bool {
        if self.round.shape.is_none() {
            let start = self.cx.start;
            self.cx.start(Tag::Prepare(start.round), Job::PrepareRound { start });
        }
        self.round.shape.is_some()
    }

    pub(crate) fn prepared(&mut self, shape: UpdateShape) {
        self.round.shape = Some(shape);
        let known: Vec<Digest> = self.round.commitments.keys().copied().collect();
        for digest in known {
            self.round.stirred.stir(digest);
            self.count_misshapen(&digest);
        }
    }

    /// People see that an update was refused, and why.
    pub(super) fn count_misshapen(&mut self, digest: &Digest) {
        match self.round.misshape_of(digest) {
            Some(Refusal::Layout) => self.cx.dropped("commitment: another layout than the round's"),
            Some(_) => self.cx.dropped("commitment: another length than the round's updates have"),
            None => {}
        }
    }

    /// Why the update of `member` is left out, if it is.
    pub(crate) fn refusal_of(&self, member: MemberIndex) -> Option<Refusal> {
        let first = self.round.first.get(&member)?;
        let misshape = self.round.misshape_of(first);
        misshape.or_else(|| self.is_rejected(first).then_some(Refusal::Unreadable))
    }

    /// Whether an update can be in a set, as far as is known.
    pub(crate) fn is_eligible(&self, digest: &Digest) -> bool {
        self.round.misshape_of(digest).is_none() && !self.is_rejected(digest)
    }
}
