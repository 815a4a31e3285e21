//! decrypt: after the decision only, each member releases its partial decryption for the decided
//! set. It does so once in a round: the release is in the journal before it is announced, may be
//! announced again, and is never computed for another set.
//!
//! combine: from enough partial decryptions the key is interpolated and checked against the
//! aggregate. With more of them than the threshold, wrong ones are corrected and their senders
//! named.

mod named_keys;
mod sum_key;

use std::collections::BTreeMap;

use super::collect::Collect;
use super::set_commitments::SetCommitments;
use super::set_decision::{DecidedSet, Sums};
use crate::consensus::Driver;
use crate::context::{Cx, Tag};
use crate::effect::Purpose;
use crate::ids::{MemberIndex, Round, SetDigest};
use crate::job::{Combined, Job};
use crate::members::Members;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, Decided, Value};
pub(crate) use sum_key::SumKey;
use sum_key::with_all_others;

/// A partial decryption that was announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partial {
    /// SetDigest of the set that it is for.
    pub(crate) set: SetDigest,
    pub(crate) object: ObjectRef,
    pub(crate) signature: Signature,
}

/// What other parts of the round a decryption reads.
#[derive(Clone, Copy)]
pub(crate) struct Decrypting<'a> {
    pub(crate) members: &'a Members,
    pub(crate) decided: &'a DecidedSet,
    pub(crate) sums: &'a Sums,
    /// The votes on the outcome: proposals there name keys.
    pub(crate) vote: &'a Driver,
}

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decryption {
    /// The first partial decryption of each member.
    partials: BTreeMap<MemberIndex, Partial>,
    /// What this member released: for which set, which object.
    released: Option<(SetDigest, ObjectRef)>,
    /// How many partial decryptions the last combine job had.
    combined_with: usize,
    pub(crate) key: SumKey,
    /// Members whose answers this member's own combine job found to be wrong, until the proof is
    /// put together.
    culprits: Vec<MemberIndex>,
}

impl Decryption {
    /// The partial decryptions that are here.
    pub(crate) const fn partials(&self) -> &BTreeMap<MemberIndex, Partial> {
        &self.partials
    }

    /// The partial decryption of a member.
    pub(crate) fn partial_of(&self, member: MemberIndex) -> Option<&Partial> {
        self.partials.get(&member)
    }

    /// What this member released.
    pub(crate) const fn released(&self) -> Option<(SetDigest, ObjectRef)> {
        self.released
    }

    /// Whether there were enough partial decryptions to put the key together.
    pub(super) const fn has_combined(&self) -> bool {
        self.combined_with > 0 || self.key.opened().is_some()
    }

    /// Computes this member's own partial decryption as soon as this member's own shares of every
    /// update in the set are valid.
    pub(super) fn release(
        &self,
        cx: &mut Cx,
        of: Decrypting<'_>,
        collect: &Collect,
        set_commitments: &mut SetCommitments,
    ) {
        let set = &of.decided.set;
        if self.released.is_some() || !set_commitments.request(cx, &collect.commitments, set) {
            return;
        }
        let mut valid = true;
        for (_, digest) in set {
            valid &= collect.fetch_share(cx, of.members, digest);
        }
        let round = cx.round();
        if valid
            && !cx.jobs.is_running(Tag::Partial(round))
            && let Some(set) = collect.commitments.included(set)
        {
            cx.start(Tag::Partial(round), Job::PartialDecrypt { round, set });
        }
    }

    /// The host has computed this member's own partial decryption for the decided set.
    pub(crate) fn on_partial_made(
        &mut self,
        cx: &mut Cx,
        decided: Option<&DecidedSet>,
        object: ObjectRef,
    ) {
        let Some(set) = decided.map(|decided| decided.digest) else { return };
        let body = Body::Partial { set, object };
        if self.released.is_some() || !body.is_within_bounds(cx.config.rules().member_count) {
            return cx.dropped("job: a second or impossible partial decryption");
        }
        if !cx.persist(Note::Released { set, object }) {
            return;
        }
        self.recall_released(cx, set, object);
        cx.broadcast(body);
    }

    /// Notes what was released, now or before a restart, and serves it.
    pub(crate) fn recall_released(&mut self, cx: &mut Cx, set: SetDigest, object: ObjectRef) {
        cx.objects.made(object);
        cx.serve(object, None, Purpose::Partial);
        self.released = Some((set, object));
        if let Some(signature) = cx.sign(cx.round(), &Body::Partial { set, object }) {
            self.partials.insert(cx.me(), Partial { set, object, signature });
        }
    }

    pub(crate) fn on_partial(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        (set, object): (SetDigest, ObjectRef),
        signature: Signature,
    ) {
        match self.partials.get(&sender).copied() {
            Some(first) if (first.set, first.object) == (set, object) => {}
            Some(first) => {
                let earlier = Body::Partial { set: first.set, object: first.object };
                let now = (Body::Partial { set, object }, signature);
                cx.equivocated(sender, (earlier, first.signature), now);
            }
            None => {
                self.partials.insert(sender, Partial { set, object, signature });
            }
        }
    }

    /// Pulls the aggregate and every partial decryption, and serves them. Returns those that are
    /// here, if with the aggregate they are enough.
    pub(super) fn fetch(
        &self,
        cx: &mut Cx,
        of: Decrypting<'_>,
    ) -> Option<Vec<(MemberIndex, ObjectRef)>> {
        let aggregate = of.decided.aggregate;
        let mut ready = Self::fetch_aggregate(cx, of);
        if ready {
            cx.serve(aggregate, None, Purpose::Aggregate);
        }
        let mut here = Vec::new();
        for (member, partial) in self.partials.iter().filter(|(_, it)| it.set == of.decided.digest)
        {
            let (member, object) = (*member, partial.object);
            let holders = |cx: &Cx| with_all_others(cx, of.members, vec![member]);
            if cx.request(object, Purpose::Partial, holders) {
                cx.serve(object, None, Purpose::Partial);
                here.push((member, object));
            }
        }
        ready &= here.len() >= usize::from(cx.config.rules().threshold);
        ready.then_some(here)
    }

    fn fetch_aggregate(cx: &mut Cx, of: Decrypting<'_>) -> bool {
        let DecidedSet { aggregate, digest, .. } = of.decided;
        let holders = |cx: &Cx| of.sums.holders(cx, of.members, digest, aggregate);
        cx.request(*aggregate, Purpose::Aggregate, holders)
    }

    /// Opens the sum: puts the key together as soon as it can be, and checks those that others
    /// name.
    pub(super) fn open(&mut self, cx: &mut Cx, of: Decrypting<'_>) {
        self.combine(cx, of);
        self.key.check(cx, of);
    }

    /// Starts a combine job whenever there are more partial decryptions than the last one had.
    fn combine(&mut self, cx: &mut Cx, of: Decrypting<'_>) {
        let Some(partials) = self.fetch(cx, of) else { return };
        let tag = Tag::Combine(cx.round());
        if self.key.is_here(cx) || cx.jobs.is_running(tag) || SumKey::is_checking(cx, of) {
            return;
        }
        if partials.len() > self.combined_with {
            self.combined_with = partials.len();
            cx.may_repeat(tag);
        } else if !cx.jobs.has_failed(tag) {
            return;
        }
        let (start, set, aggregate) = (cx.start, of.decided.set.clone(), of.decided.aggregate);
        cx.start(tag, Job::Combine { start, set, aggregate, partials });
    }

    /// The host has put a key together, or could not from these answers.
    pub(crate) fn on_combined(&mut self, cx: &mut Cx, members: &Members, combined: Combined) {
        match combined {
            Combined::NotYet => {}
            Combined::Opened { key, sum, culprits } => {
                self.key.has_opened(cx, members, key, sum);
                self.culprits = culprits;
            }
        }
    }

    /// The host could not apply the sum. If it was opened before a restart, it may be gone from the
    /// disk: it is opened again.
    pub(crate) fn on_not_applied(&mut self, cx: &mut Cx, round: Round) {
        if round == cx.round() && self.key.forget_opened_before() {
            self.combined_with = 0;
            cx.may_repeat(Tag::Combine(round));
        }
    }

    /// Whose answers were wrong can be proven to others only once a quorum has accepted the key:
    /// until then it might as well be the key that is wrong.
    pub(super) fn prove_culprits(&mut self, cx: &mut Cx, set: Decided, end: Decided) {
        if self.culprits.is_empty() {
            return;
        }
        let culprits = core::mem::take(&mut self.culprits);
        let opened = self.key.opened().map(|(key, sum)| Value::Opened { key, sum });
        let agreed = opened.as_ref() == Some(&end.value);
        let Value::Aggregate { set: updates, .. } = &set.value else { return };
        if !agreed {
            return;
        }
        let digest = updates.digest();
        let answers = self
            .partials
            .iter()
            .filter(|(_, it)| it.set == digest && cx.objects.is_here(&it.object) == Some(true))
            .map(|(member, it)| (*member, it.object, it.signature))
            .collect();
        let (round, set, end) = (cx.round(), Box::new(set), Box::new(end));
        let job = Job::ProveAnswers { round, set, outcome: end, answers, culprits };
        cx.start(Tag::ProveAnswers(round), job);
    }

    /// Whether there is proof to put together.
    pub(super) fn has_culprits(&self) -> bool {
        !self.culprits.is_empty()
    }
}
