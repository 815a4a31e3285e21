//! transfer: every member pulls its own sealed share of each update and tests it; the committee pulls ciphertexts and
//! all shares and says so when it holds an update whole. What a set names and is not here is asked for.

use std::sync::Arc;

use super::state::Share;
use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::limits::MAX_REQUESTED_COMMITMENTS;
use crate::machine::{Machine, Question, Tag};
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::{Body, CommitmentBody, Set};

impl Machine {
    pub(super) fn transfer(&mut self) -> Phase {
        if let Some(phase) = self.decided_elsewhere() {
            return phase;
        }
        self.contribute();
        self.fetch_updates();
        self.answer_proposers();
        self.report()
    }

    /// Fetches what this member needs of the updates that have changed.
    pub(super) fn fetch_updates(&mut self) {
        if !self.is_prepared() {
            return;
        }
        let stirred = self.round.stirred.take();
        if stirred.is_empty() {
            return;
        }
        // In the order of the members, whatever the order in which things arrived.
        let first = self.round.first.values();
        let updates: Vec<Digest> =
            first.filter(|d| stirred.contains(*d) && self.is_wanted(d)).copied().collect();
        let mut grown = false;
        for digest in updates {
            if !self.is_eligible(&digest) {
                continue;
            }
            self.fetch_share(&digest);
            grown |= self.fetch_whole(&digest);
        }
        if grown {
            let have_updates = self.round.own_holds(self.config.me);
            have_updates.into_iter().for_each(|have_updates| self.say(have_updates));
        }
    }

    /// Whether an update can still be in a set that this member adds: once it has reported, those that it vouches for.
    fn is_wanted(&self, digest: &Digest) -> bool {
        let report = self.round.reports.get(&self.config.me);
        report.is_none_or(|(set, _)| set.iter().any(|(_, listed)| listed == digest))
    }

    /// A status tick: what failed may be tried again, so that all unfinished updates are looked at.
    pub(crate) fn look_again(&mut self) {
        if self.round.decided.is_some() {
            return;
        }
        let in_committee = self.round.election.in_committee(self.config.me);
        for digest in self.round.first.values() {
            let Some(known) = self.round.commitments.get(digest) else { continue };
            if known.share == Share::Unknown || (in_committee && !known.whole) {
                self.round.stirred.stir(*digest);
            }
        }
    }

    /// Pulls and tests the own share. Returns whether it is valid.
    pub(super) fn fetch_share(&mut self, digest: &Digest) -> bool {
        let Some(commitment) = self.round.commitments.get(digest) else { return false };
        if commitment.share != Share::Unknown {
            return commitment.share == Share::Valid;
        }
        let sealed = commitment.body.boxes.get(self.config.me.position()).copied().flatten();
        let author = commitment.author;
        // Without a box it may be here all the same: sealed again, before a restart.
        let here = sealed.is_none_or(|sealed| {
            self.want(sealed, Purpose::Share, |it| it.holders_for(digest, author))
        });
        if here && let Some(dealer) = self.round.dealer(digest) {
            let round = self.round.number;
            self.start(Tag::CheckShare(*digest), Job::CheckShare { round, update: dealer });
        }
        false
    }

    /// Pulls a whole update, for the committee: ciphertext and all boxes that there are. Returns whether it has just become
    /// whole.
    fn fetch_whole(&mut self, digest: &Digest) -> bool {
        let me = self.config.me;
        let Some(commitment) = self.round.commitments.get(digest) else { return false };
        if commitment.whole || !self.round.election.in_committee(me) {
            return false;
        }
        let (author, body) = (commitment.author, Arc::clone(&commitment.body));
        let mut whole = self.fetch_ciphertext(digest, author, &body) && self.is_sound(digest);
        for sealed in body.boxes.iter().flatten() {
            whole &= self.want(*sealed, Purpose::Share, |it| it.holders_for(digest, author));
        }
        if whole {
            self.serve_update(&body);
            self.round.have_updates.entry(me).or_default().insert(*digest);
            if let Some(commitment) = self.round.commitments.get_mut(digest) {
                commitment.whole = true;
            }
        }
        whole
    }

    fn fetch_ciphertext(
        &mut self,
        digest: &Digest,
        author: MemberIndex,
        body: &CommitmentBody,
    ) -> bool {
        self.want(body.ciphertext, Purpose::Ciphertext, |it| it.holders_for(digest, author))
    }

    /// The dealer first, then who announced it, then the rest of the committee.
    fn holders_for(&self, digest: &Digest, author: MemberIndex) -> Vec<MemberIndex> {
        let mut holders = vec![author];
        let announced = self.round.holders_of(digest);
        for member in announced.iter().chain(self.round.election.committee()) {
            if !holders.contains(member) {
                holders.push(*member);
            }
        }
        holders
    }

    /// Whether the ciphertexts of a whole set are here; those that are not are fetched, and commitments asked for.
    pub(super) fn fetch_set(&mut self, set: &Set) -> bool {
        if !self.has_commitments(set) {
            return false;
        }
        let mut complete = true;
        for (author, digest) in set {
            let Some(commitment) = self.round.commitments.get(digest) else { return false };
            let body = Arc::clone(&commitment.body);
            complete &= self.fetch_ciphertext(digest, *author, &body);
        }
        complete
    }

    /// Whether every commitment of `set` is here; those that are not are asked for.
    pub(super) fn has_commitments(&mut self, set: &Set) -> bool {
        let lacking: Vec<Digest> = set
            .iter()
            .map(|(_, digest)| *digest)
            .filter(|digest| !self.round.commitments.contains_key(digest))
            .collect();
        let new = lacking.iter().any(|digest| !self.round.missing.contains(digest));
        self.round.missing.extend(lacking.iter().copied());
        if new {
            self.ask_for_commitments();
        }
        lacking.is_empty()
    }

    /// Asks everyone for commitments that a set names.
    pub(crate) fn ask_for_commitments(&mut self) {
        let wanted: Vec<Digest> =
            self.round.missing.iter().copied().take(MAX_REQUESTED_COMMITMENTS).collect();
        if !wanted.is_empty() {
            self.say(Body::GetCommitments(wanted));
        }
    }

    /// Hands on commitments with their authors' signatures.
    pub(super) fn take_want(&mut self, to: MemberIndex, wanted: &[Digest]) {
        let mut wanted = wanted.to_vec();
        wanted.retain(|digest| self.round.commitments.contains_key(digest));
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() || !self.may_answer(to, Question::GetCommitments) {
            return;
        }
        for digest in wanted {
            let Some(known) = self.round.commitments.get(&digest) else { continue };
            let (author, signature) = (known.author, known.signature);
            let body = Body::Commitment(Box::new(known.body.as_ref().clone()));
            let bytes = postcard::experimental::serialized_size(&body).unwrap_or(usize::MAX);
            if self.may_send(to, Question::GetCommitments, bytes) {
                self.forward(to, author, body, signature);
            }
        }
    }

    pub(super) fn take_have_updates(
        &mut self,
        sender: MemberIndex,
        list: Vec<Digest>,
        signature: Signature,
    ) {
        if !self.round.election.in_committee(sender) {
            return self.dropped("have updates: not of the committee");
        }
        self.note_announcement(sender, &list, signature);
        let held = self.round.have_updates.entry(sender).or_default();
        let room = usize::from(self.config.rules().member_count) * 2;
        for digest in list {
            if held.len() < room {
                held.insert(digest);
            }
        }
    }
}
