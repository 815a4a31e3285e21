//! decrypt: on the decision only, each member releases its partial decryption for the decided set. Once per round: it is
//! in the journal before it is said, and said again, never computed for another set.

use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Tag};
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::journal::Note;
use crate::wire::{Body, Set};

use super::state::Answer;

impl Machine {
    pub(super) fn decrypt(&mut self) -> Phase {
        let Some((set, aggregate)) = self.round.decided.clone() else { return Phase::Record };
        self.answer_decision(&set);
        self.serve_again(&set);
        let here = self.fetch_answers(&aggregate);
        self.check_keys();
        if let Some(phase) = self.conclude() {
            return phase;
        }
        if here.is_some() { Phase::Combine } else { Phase::Decrypt }
    }

    /// Computes the own partial decryption as soon as the own shares of every update in the set are valid.
    pub(super) fn answer_decision(&mut self, set: &Set) {
        if self.round.released.is_some() || !self.has_commitments(set) {
            return;
        }
        let mut valid = true;
        for (_, digest) in set {
            valid &= self.fetch_share(digest);
        }
        let round = self.round.number;
        if valid
            && !self.jobs.is_running(Tag::Partial(round))
            && let Some(set) = self.round.included(set)
        {
            self.start(Tag::Partial(round), Job::PartialDecrypt { round, set });
        }
    }

    pub(crate) fn release(&mut self, object: ObjectRef) {
        let Some(set) = self.round.decided_digest else { return };
        let body = Body::Partial { set, object };
        if self.round.released.is_some() || !body.is_within_bounds(self.config.rules().member_count)
        {
            return self.dropped("job: a second or impossible partial decryption");
        }
        if !self.persist(Note::Released { set, object }) {
            return;
        }
        self.note_own_partial(set, object);
        self.say(body);
    }

    /// Notes what was released, now or before a restart, and serves it.
    pub(crate) fn note_own_partial(&mut self, set: Digest, object: ObjectRef) {
        self.objects.made(object);
        self.serve(object, None, Purpose::Partial);
        self.round.released = Some((set, object));
        if let Some(signature) = self.sign(self.round.number, &Body::Partial { set, object }) {
            self.round.partials.insert(self.config.me, Answer { set, object, signature });
        }
    }

    pub(super) fn take_partial(
        &mut self,
        sender: MemberIndex,
        set: Digest,
        object: ObjectRef,
        signature: Signature,
    ) {
        match self.round.partials.get(&sender).copied() {
            Some(first) if (first.set, first.object) == (set, object) => {}
            Some(first) => {
                let earlier = Body::Partial { set: first.set, object: first.object };
                let now = (Body::Partial { set, object }, signature);
                self.equivocated(sender, (earlier, first.signature), now);
            }
            None => {
                self.round.partials.insert(sender, Answer { set, object, signature });
            }
        }
    }

    /// Pulls the aggregate and every answer. Returns the answers that are here, if with the aggregate they are enough.
    pub(super) fn fetch_answers(
        &mut self,
        aggregate: &ObjectRef,
    ) -> Option<Vec<(MemberIndex, ObjectRef)>> {
        let set = self.round.decided_digest?;
        let mut ready =
            self.want(*aggregate, Purpose::Aggregate, |it| it.attesters_of(&set, aggregate));
        if ready {
            self.serve(*aggregate, None, Purpose::Aggregate);
        }
        let announced: Vec<(MemberIndex, ObjectRef)> = self
            .round
            .partials
            .iter()
            .filter(|(_, answer)| answer.set == set)
            .map(|(member, answer)| (*member, answer.object))
            .collect();
        let mut here = Vec::new();
        for (member, object) in announced {
            let holders = |it: &Self| {
                let others = it.config.manifest.members().filter(|m| *m != member);
                std::iter::once(member).chain(others).collect()
            };
            if self.want(object, Purpose::Partial, holders) {
                self.serve(object, None, Purpose::Partial);
                here.push((member, object));
            }
        }
        ready &= here.len() >= usize::from(self.config.rules().threshold);
        ready.then_some(here)
    }

    /// Who attested the sum first, then the others: whoever has fetched it serves it.
    pub(super) fn attesters_of(&self, set: &Digest, aggregate: &ObjectRef) -> Vec<MemberIndex> {
        let mut holders: Vec<MemberIndex> = self
            .round
            .attestations
            .get(set)
            .into_iter()
            .flatten()
            .filter(|(_, (sum, _))| sum == aggregate)
            .map(|(member, _)| *member)
            .collect();
        for member in
            self.round.election.committee().iter().copied().chain(self.config.manifest.members())
        {
            if !holders.contains(&member) {
                holders.push(member);
            }
        }
        holders
    }
}
