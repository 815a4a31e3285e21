//! What a round needs to end is in the journals of those that need it: its authors may be gone when it does.
//!
//! A commitment is kept before this member vouches for it in its report, and when it is in the decided set. Every update of
//! a set is listed by q - f reporters, so at least one honest one beside its author has it on disk: in whichever way a set is
//! found, locked or decided, somebody can hand on what opening it takes. The key that opened the sum is kept before the first
//! vote for it: whoever is locked on a sum can show the others that it is right (`check_key`).

use std::sync::Arc;

use super::check_key::NamedKeys;
use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex, Round};
use crate::machine::{Machine, Tag};
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{CommitmentBody, Set};

impl Machine {
    /// Writes down the commitments of `set` that are here and not in the journal yet; the own one is there as such.
    pub(super) fn keep_commitments(&mut self, set: &Set) {
        let me = self.config.me;
        for (_, digest) in set.iter().filter(|(author, _)| *author != me) {
            if self.round.kept.contains(digest) {
                continue;
            }
            let Some(known) = self.round.commitments.get(digest) else { continue };
            let (author, signature) = (known.author, known.signature);
            let body = Box::new(known.body.as_ref().clone());
            // If it cannot be written it is as good as before: others may have it.
            if self.persist(Note::Kept { author, body, signature }) {
                self.round.kept.insert(*digest);
            }
        }
    }

    /// A commitment has come; one of the decided set is written down.
    pub(super) fn keep_if_decided(&mut self, digest: &Digest) {
        let Some((set, _)) = &self.round.decided else { return };
        if let Some(entry) = set.iter().find(|(_, decided)| decided == digest).copied() {
            self.keep_commitments(&vec![entry]);
        }
    }

    /// A commitment from the journal.
    pub(crate) fn note_kept(
        &mut self,
        author: MemberIndex,
        body: CommitmentBody,
        signature: Signature,
    ) {
        let scope = self.config.roster().scope(self.round.number);
        let Ok(digest) = scope.commitment(author, &body) else { return };
        self.round.kept.insert(digest);
        if self.round.commitments.contains_key(&digest) {
            return;
        }
        self.round.first.entry(author).or_insert(digest);
        self.insert_commitment(digest, author, body, signature);
        if let Some(commitment) = self.round.commitments.get_mut(&digest) {
            commitment.recalled = true;
        }
    }

    /// Late in a round the committee gives again what an earlier life gave of the decided set: a member that has not got
    /// its box may have nobody else to ask. Only what is on this disk: nothing more is fetched for it.
    pub(super) fn serve_again(&mut self, set: &Set) {
        let me = self.config.me;
        if !self.round.election.in_committee(me) {
            return;
        }
        let stirred = self.round.stirred.take();
        let committee = self.round.election.committee().to_vec();
        for (_, digest) in set.iter().filter(|(_, digest)| stirred.contains(digest)) {
            let known = self.round.commitments.get(digest).filter(|known| known.recalled);
            let Some(body) = known.map(|known| Arc::clone(&known.body)) else { continue };
            if self.want(body.ciphertext, Purpose::Ciphertext, |_| Vec::new()) {
                self.serve(body.ciphertext, Some(committee.clone()), Purpose::Ciphertext);
            }
            let members: Vec<MemberIndex> = self.config.manifest.members().collect();
            // The own box is asked for by whoever opens it (`fetch_share`), from others if need be.
            for (receiver, object) in members.into_iter().zip(&body.boxes) {
                let Some(object) = object.as_ref().filter(|_| receiver != me) else { continue };
                if self.want(*object, Purpose::Share, |_| Vec::new()) {
                    let mut audience = committee.clone();
                    if !audience.contains(&receiver) {
                        audience.push(receiver);
                    }
                    self.serve(*object, Some(audience), Purpose::Share);
                }
            }
        }
    }

    /// The host could not apply the sum. If an earlier life opened it, it may be gone from the disk: it is opened again.
    pub(crate) fn not_applied(&mut self, round: Round) {
        if round == self.round.number && core::mem::take(&mut self.round.opened_before) {
            self.round.opened = None;
            self.round.keys = NamedKeys::default();
            self.round.combined_with = 0;
            self.may_repeat(Tag::Combine(round));
        }
    }
}
