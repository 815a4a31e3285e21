//! aggregate: the proposer of the view collects q reports, from which U follows; the committee adds
//! exactly U and attests the sum. Addition is deterministic, so honest attestations of one set are
//! equal.

use std::collections::{BTreeMap, BTreeSet};

use super::attestations::Attestations;
use crate::consensus::Driver;
use crate::context::{Cx, Tag};
use crate::effect::Purpose;
use crate::ids::{MemberIndex, SetDigest, View};
use crate::job::Job;
use crate::limits::VIEW_WINDOW;
use crate::manifest::SetTooSmall;
use crate::members::Members;
use crate::object::ObjectRef;
use crate::round::collect::{Collect, Reports};
use crate::round::set_commitments::SetCommitments;
use crate::sign::Signature;
use crate::wire::evidence::Evidence;
use crate::wire::journal::Note;
use crate::wire::{Body, Justification, ReportBundle, UpdateSet, Value};

/// The proposer's reports and what follows from them.
#[derive(Debug, Clone)]
struct Collection {
    reports: ReportBundle,
    set: UpdateSet,
    digest: SetDigest,
    /// The last view in which the committee was asked.
    asked_in: Option<View>,
}

/// Sets that proposers ask the committee to add, and what it attests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    /// What this member proposes when it is its turn.
    collection: Option<Collection>,
    /// The set that the proposer of each view asked the committee to add, with its digest.
    asked: BTreeMap<View, (SetDigest, UpdateSet)>,
    pub(crate) attestations: Attestations,
}

impl Sums {
    /// The proposer of the view packs q reports and asks the committee for the sum of what follows
    /// from them.
    pub(super) fn ask_committee(&mut self, cx: &mut Cx, vote: &Driver, reports: &Reports) {
        let Some(view) = vote.voting_view() else { return };
        if cx.election.proposer(view) != cx.me() {
            return;
        }
        if self.collection.is_none() {
            self.collection = Self::pack(cx, reports);
        }
        let Some(collection) = self.collection.as_mut() else { return };
        if collection.asked_in == Some(view) {
            return;
        }
        collection.asked_in = Some(view);
        let Collection { reports, set, digest, .. } = collection.clone();
        if self.attestations.agreed(cx, &digest).is_some() {
            return;
        }
        if cx.election.in_committee(cx.me()) {
            self.note_asked(cx, vote.agreement().view(), view, (digest, set));
        }
        for to in cx.election.committee().to_vec() {
            cx.send(to, Body::ReportBundle { view, bundle: reports.clone() });
        }
    }

    fn pack(cx: &Cx, reports: &Reports) -> Option<Collection> {
        let rules = cx.config.rules();
        let reports = ReportBundle::pack(reports.all(), rules.quorum)?;
        let set = reports.set(rules);
        rules.check_set(cx.me(), &set).ok()?;
        let digest = set.digest();
        Some(Collection { reports, set, digest, asked_in: None })
    }

    /// A committee member has not attested yet: the request may have been lost.
    pub(crate) fn ask_again(&self, cx: &mut Cx, to: MemberIndex, view: View) {
        let Some(collection) = &self.collection else { return };
        if collection.asked_in == Some(view)
            && cx.election.in_committee(to)
            && self.attestations.of(&collection.digest, to).is_none()
        {
            cx.send(to, Body::ReportBundle { view, bundle: collection.reports.clone() });
        }
    }

    /// A proposer asks the committee for a sum. Returns the reports that it has collected, if they
    /// count.
    pub(super) fn on_request(
        &mut self,
        cx: &mut Cx,
        current: View,
        sender: MemberIndex,
        (view, reports): (View, ReportBundle),
        signature: Signature,
    ) -> Option<ReportBundle> {
        if cx.election.proposer(view) != sender || !cx.election.in_committee(cx.me()) {
            cx.dropped("report bundle: not by the proposer, or not to the committee");
            return None;
        }
        if view.0.saturating_add(1) < current.0 || view.0 > current.0.saturating_add(VIEW_WINDOW) {
            cx.dropped("report bundle: far from this view");
            return None;
        }
        let rules = cx.config.rules();
        let set = reports.set(rules);
        let digest = set.digest();
        match self.asked.get(&view) {
            Some((first, _)) if *first == digest => return None,
            Some(_) => {
                cx.dropped("report bundle: a second set in one view");
                return None;
            }
            None => {}
        }
        if let Err(error) = rules.check_set(sender, &set) {
            too_small(cx, &error, (Body::ReportBundle { view, bundle: reports }, signature));
            return None;
        }
        if !reports.is_valid(&cx.config.roster(), cx.round()) {
            cx.dropped("report bundle: not q reports");
            return None;
        }
        self.note_asked(cx, current, view, (digest, set));
        Some(reports)
    }

    /// One set for each view, whose proposer alone can ask in it; views that are over make room.
    fn note_asked(
        &mut self,
        cx: &mut Cx,
        current: View,
        view: View,
        (digest, set): (SetDigest, UpdateSet),
    ) {
        let asked = &mut self.asked;
        let over = |view: &View| view.next() < current;
        let gone: Vec<SetDigest> =
            asked.iter().filter(|(view, _)| over(view)).map(|(_, (digest, _))| *digest).collect();
        asked.retain(|view, _| !over(view));
        asked.insert(view, (digest, set));
        let asked: BTreeSet<SetDigest> = asked.values().map(|(digest, _)| *digest).collect();
        for digest in gone.into_iter().filter(|digest| !asked.contains(digest)) {
            cx.cancel(Tag::Aggregate(digest));
        }
    }

    /// The committee adds what proposers asked for.
    pub(super) fn add(
        &self,
        cx: &mut Cx,
        members: &Members,
        collect: &Collect,
        set_commitments: &mut SetCommitments,
    ) {
        let me = cx.me();
        let is_open =
            |(digest, _): &&(SetDigest, UpdateSet)| self.attestations.of(digest, me).is_none();
        for (digest, set) in self.asked.values().filter(is_open) {
            if set_commitments.request(cx, &collect.commitments, set)
                && collect.fetch_set(cx, members, set)
                && !cx.jobs.is_running(Tag::Aggregate(*digest))
                && let Some(included) = collect.commitments.included(set)
            {
                let job = Job::Aggregate { start: cx.start, set: included };
                cx.start(Tag::Aggregate(*digest), job);
            }
        }
    }

    /// The host has added a set.
    pub(crate) fn on_aggregated(&mut self, cx: &mut Cx, set: SetDigest, aggregate: ObjectRef) {
        if aggregate.check_size().is_err() || !cx.persist(Note::Attested { set, aggregate }) {
            return;
        }
        self.recall_own(cx, set, aggregate);
        cx.broadcast(Body::Attestation { set, aggregate });
    }

    /// Notes an own attestation, fresh or from the journal, and serves the sum.
    pub(crate) fn recall_own(&mut self, cx: &mut Cx, set: SetDigest, aggregate: ObjectRef) {
        cx.objects.made(aggregate);
        cx.serve(aggregate, None, Purpose::Aggregate);
        if let Some(signature) = cx.sign(cx.round(), &Body::Attestation { set, aggregate }) {
            self.attestations.insert(set, cx.me(), (aggregate, signature));
        }
    }

    pub(crate) fn on_attestation(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        attested: (SetDigest, ObjectRef),
        signature: Signature,
    ) {
        let own = self.collection.as_ref().map(|collection| collection.digest);
        self.attestations.on_attestation(cx, own, sender, attested, signature);
    }

    /// The members that attested the set that this member collected.
    pub(crate) fn own_attesters(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        let own = self.collection.iter();
        own.flat_map(|collection| self.attestations.attesters(&collection.digest))
    }

    /// Who attested the sum first, then the others: whoever has fetched it serves it.
    pub(crate) fn holders(
        &self,
        cx: &Cx,
        members: &Members,
        set: &SetDigest,
        aggregate: &ObjectRef,
    ) -> Vec<MemberIndex> {
        let mut holders = self.attestations.attesters_of_sum(set, aggregate);
        for member in cx.election.committee().iter().copied().chain(cx.config.manifest.members()) {
            if !holders.contains(&member) {
                holders.push(member);
            }
        }
        members.trusted_first(holders)
    }

    /// What this member can propose.
    pub(super) fn candidate(&self, cx: &Cx) -> Option<Value> {
        let collection = self.collection.as_ref()?;
        let (aggregate, _) = self.attestations.agreed(cx, &collection.digest)?;
        Some(Value::Aggregate { set: collection.set.clone(), aggregate })
    }

    /// Why what this member can propose is valid.
    pub(super) fn justification(&self, cx: &Cx) -> Option<Justification> {
        let collection = self.collection.as_ref()?;
        let (_, attestations) = self.attestations.agreed(cx, &collection.digest)?;
        Some(Justification { bundle: collection.reports.clone(), attestations })
    }
}

/// Whether `set` and `aggregate` follow from what a proposal carries: q reports and f + 1 equal
/// attestations.
pub(super) fn is_justified(
    cx: &Cx,
    set: &UpdateSet,
    aggregate: &ObjectRef,
    justification: &Justification,
) -> bool {
    let (rules, roster) = (cx.config.rules(), cx.config.roster());
    let attestation = Body::Attestation { set: set.digest(), aggregate: *aggregate };
    justification.bundle.set(rules) == *set
        && justification.attestations.len() >= usize::from(rules.honest_threshold())
        && justification.attestations.is_sorted_by(|a, b| a.0 < b.0)
        && justification.attestations.iter().all(|(member, signature)| {
            cx.election.in_committee(*member)
                && roster.is_signed_by(cx.round(), *member, &attestation, signature)
        })
        && justification.bundle.is_valid(&roster, cx.round())
}

/// A proposer signed a set that no honest member proposes: what it signed is the evidence.
pub(super) fn too_small(cx: &mut Cx, error: &SetTooSmall, statement: (Body, Signature)) {
    let evidence = Evidence::too_small(error.proposer, cx.round(), statement);
    cx.accuse_because(evidence, error.to_string());
    cx.dropped("set: too few updates");
}
