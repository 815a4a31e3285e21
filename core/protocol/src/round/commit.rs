//! commit: train, prune, encode, encrypt at the host; then seal the boxes, with the keys of this round that have come by
//! then; then bind to the result. Shares and ciphertext are on disk before the commitment is, and the commitment is in the
//! journal before it is said: after a restart the same bytes are served, and nothing is encrypted twice under one key.
//!
//! Nobody waits for a sealing key: whoever has none gets no box, and asks for one later (`complain`).

use std::sync::Arc;

use super::state::{Commitment, Share};
use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Tag};
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::journal::Note;
use crate::wire::{Body, CommitmentBody};

impl Machine {
    pub(super) fn commit(&mut self) -> Phase {
        if let Some(phase) = self.decided_elsewhere() {
            return phase;
        }
        self.contribute();
        self.fetch_updates();
        if self.has_all_commitments() || self.round.clock.commit_over || self.has_reported() {
            return Phase::Transfer;
        }
        Phase::Commit
    }

    /// Whether no commitment is waited for: all are here, but for those of members that are away if the rest is enough for a
    /// sum, and those that come too late.
    fn has_all_commitments(&self) -> bool {
        let eligible = self
            .round
            .first
            .iter()
            .filter(|(member, digest)| self.is_eligible(digest) && !self.is_banned(**member));
        let enough = eligible.count() >= usize::from(self.config.rules().min_contributors);
        self.config.manifest.members().all(|member| {
            self.round.first.contains_key(&member)
                || self.is_banned(member)
                || self.is_excluded(member)
                || enough && self.is_away(member)
                || self.is_too_late(member)
        })
    }

    /// Encrypts the own update, then seals its boxes.
    pub(super) fn contribute(&mut self) {
        let round = self.round.number;
        if self.round.own.is_some() {
            return;
        }
        if self.round.encrypted {
            let members = self.config.manifest.members();
            let sealing_keys = members.map(|member| self.key_of(member).cloned()).collect();
            self.start(Tag::SealShares(round), Job::SealShares { round, sealing_keys });
        } else if self.round.phase == Phase::Commit {
            self.start(Tag::Contribute(round), Job::Contribute { start: self.round.start });
        }
    }

    /// The host has encrypted the own update.
    pub(crate) fn contributed(&mut self, body: CommitmentBody) {
        let body_shaped = Body::Commitment(Box::new(body.clone()));
        if !body_shaped.is_within_bounds(self.config.rules().member_count) {
            return self.dropped("job: an impossible contribution");
        }
        // Too late: those who have reported will not list it, so the local progress is kept for the next round.
        let in_time = matches!(self.round.phase, Phase::Commit | Phase::Transfer);
        if self.round.own.is_some() || !in_time {
            return self.dropped("job: a late contribution");
        }
        if !self.persist(Note::Committed(Box::new(body.clone()))) {
            return;
        }
        self.note_own_commitment(body);
        self.say(body_shaped);
    }

    /// Notes the own commitment, fresh or from the journal, and serves what it names.
    pub(crate) fn note_own_commitment(&mut self, body: CommitmentBody) {
        let me = self.config.me;
        let said = Body::Commitment(Box::new(body.clone()));
        let digest = self.config.roster().scope(self.round.number).commitment(me, &body);
        let signature = self.sign(self.round.number, &said);
        let (Ok(digest), Some(signature)) = (digest, signature) else { return };
        for object in body.boxes.iter().flatten().chain([&body.ciphertext]) {
            self.objects.made(*object);
        }
        self.serve_update(&body);
        self.round.own = Some(digest);
        self.round.first.insert(me, digest);
        self.insert_commitment(digest, me, body, signature);
    }

    /// Gives a ciphertext to the committee, and each sealed box to its receiver and the committee.
    pub(super) fn serve_update(&mut self, body: &CommitmentBody) {
        let committee = self.round.election.committee().to_vec();
        self.serve(body.ciphertext, Some(committee.clone()), Purpose::Ciphertext);
        for (receiver, object) in self.config.manifest.members().zip(&body.boxes) {
            let Some(object) = object else { continue };
            let mut audience = committee.clone();
            if !audience.contains(&receiver) {
                audience.push(receiver);
            }
            self.serve(*object, Some(audience), Purpose::Share);
        }
    }

    pub(super) fn take_commitment(
        &mut self,
        author: MemberIndex,
        body: CommitmentBody,
        signature: Signature,
    ) {
        let Ok(digest) = self.config.roster().scope(self.round.number).commitment(author, &body)
        else {
            return;
        };
        if self.round.commitments.contains_key(&digest) {
            return;
        }
        let wanted = self.round.missing.remove(&digest);
        match self.round.first.get(&author).and_then(|first| self.round.commitments.get(first)) {
            Some(first) => {
                let earlier =
                    (Body::Commitment(Box::new(first.body.as_ref().clone())), first.signature);
                let now = (Body::Commitment(Box::new(body.clone())), signature);
                self.equivocated(author, earlier, now);
                if !wanted {
                    return;
                }
            }
            None if !wanted && (self.round.clock.commit_over || self.has_reported()) => {
                return self.dropped("commitment: after the deadline");
            }
            None => {
                self.round.first.insert(author, digest);
            }
        }
        self.insert_commitment(digest, author, body, signature);
    }

    pub(super) fn insert_commitment(
        &mut self,
        digest: Digest,
        author: MemberIndex,
        body: CommitmentBody,
        signature: Signature,
    ) {
        let commitment = Commitment {
            author,
            body: Arc::new(body),
            signature,
            share: Share::Unknown,
            spoiled: false,
            form: self.form_of(author, &digest),
            whole: false,
            recalled: false,
        };
        self.round.missing.remove(&digest);
        self.round.stirred.know(digest, &commitment.body);
        self.round.commitments.insert(digest, commitment);
        self.keep_if_decided(&digest);
        self.count_misshapen(&digest);
        self.judge(&digest);
    }
}
