//! aggregate: the proposer of the view collects q reports, from which U follows; the committee adds exactly U and
//! attests the sum. Addition is deterministic, so honest attestations of one set are equal.

use std::collections::{BTreeMap, BTreeSet};

use super::state::Collection;
use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex, View};
use crate::job::Job;
use crate::limits::{MAX_SETS, VIEW_WINDOW};
use crate::machine::{Machine, Tag};
use crate::manifest::SetTooSmall;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::evidence::Evidence;
use crate::wire::journal::Note;
use crate::wire::{Body, Decision, Justification, ReportBundle, Set, Value, set_digest};

impl Machine {
    pub(super) fn aggregate(&mut self) -> Phase {
        self.fetch_updates();
        // A member that enters a view proposes in it at once, if it is its turn.
        loop {
            let view = self.round.set_vote.view();
            self.collect();
            self.answer_proposers();
            self.deliberate(Decision::Set);
            if self.round.set_vote.view() == view {
                break;
            }
        }
        if let Some(phase) = self.decided_elsewhere() {
            return phase;
        }
        if self.round.set_vote.has_proposal() { Phase::Certify } else { Phase::Aggregate }
    }

    /// The proposer of the view packs q reports and asks the committee for the sum of what follows from them.
    pub(super) fn collect(&mut self) {
        let vote = &self.round.set_vote;
        let view = vote.view();
        if !vote.is_started()
            || vote.decided().is_some()
            || self.round.election.proposer(view) != self.config.me
        {
            return;
        }
        if self.round.collection.is_none() {
            let rules = *self.config.rules();
            let Some(bundle) = ReportBundle::pack(&self.round.reports, rules.quorum) else {
                return;
            };
            let set = bundle.set(&rules);
            if rules.check_set(self.config.me, &set).is_err() {
                return;
            }
            let digest = set_digest(&set);
            self.round.collection = Some(Collection { bundle, set, digest, asked_in: None });
        }
        let Some(collection) = self.round.collection.as_mut() else { return };
        if collection.asked_in == Some(view) {
            return;
        }
        collection.asked_in = Some(view);
        let (bundle, set, digest) =
            (collection.bundle.clone(), collection.set.clone(), collection.digest);
        if self.agreed_sum(&digest).is_some() {
            return;
        }
        if self.round.election.in_committee(self.config.me) {
            self.note_asked(view, digest, set);
        }
        for to in self.round.election.committee().to_vec() {
            self.tell(to, Body::ReportBundle { view, bundle: bundle.clone() });
        }
    }

    /// A committee member has not attested yet: the request may have been lost.
    pub(crate) fn collect_again(&mut self, to: MemberIndex, view: View) {
        let Some(collection) = &self.round.collection else { return };
        let attested = self.round.attestations.get(&collection.digest);
        if collection.asked_in == Some(view)
            && self.round.election.in_committee(to)
            && !attested.is_some_and(|attested| attested.contains_key(&to))
        {
            let bundle = collection.bundle.clone();
            self.tell(to, Body::ReportBundle { view, bundle });
        }
    }

    pub(super) fn take_report_bundle(
        &mut self,
        sender: MemberIndex,
        view: View,
        bundle: ReportBundle,
        signature: Signature,
    ) {
        let election = &self.round.election;
        if election.proposer(view) != sender || !election.in_committee(self.config.me) {
            return self.dropped("report bundle: not by the proposer, or not to the committee");
        }
        let current = self.round.set_vote.view();
        if view.0.saturating_add(1) < current.0 || view.0 > current.0.saturating_add(VIEW_WINDOW) {
            return self.dropped("report bundle: far from this view");
        }
        let rules = self.config.rules();
        let set = bundle.set(rules);
        let digest = set_digest(&set);
        match self.round.asked.get(&view) {
            Some((first, _)) if *first == digest => return,
            Some(_) => return self.dropped("report bundle: a second set in one view"),
            None => {}
        }
        if let Err(error) = rules.check_set(sender, &set) {
            let statement = (Body::ReportBundle { view, bundle }, signature);
            return self.too_small(&error, statement);
        }
        if !bundle.is_valid(&self.config.roster(), self.round.number) {
            return self.dropped("report bundle: not q reports");
        }
        self.take_reports(&bundle);
        self.note_asked(view, digest, set);
    }

    /// Reports that a proposer has collected, their signatures checked: as good as heard from their authors, and evidence if an
    /// author has told another one something else.
    pub(super) fn take_reports(&mut self, bundle: &ReportBundle) {
        for (author, set, signature) in bundle.reports() {
            if author != self.config.me {
                self.take_report(author, set, signature);
            }
        }
    }

    /// A proposer signed a set that no honest member proposes: what it said is the evidence.
    pub(super) fn too_small(&mut self, error: &SetTooSmall, statement: (Body, Signature)) {
        let (member, round) = (error.proposer, self.round.number);
        let evidence = Evidence::too_small(member, round, statement);
        self.ban(&evidence, &error.to_string());
        self.dropped("set: too few updates");
    }

    /// One set for each view, whose proposer alone can ask in it; views that are over make room.
    fn note_asked(&mut self, view: View, digest: Digest, set: Set) {
        let current = self.round.set_vote.view();
        let asked = &mut self.round.asked;
        let over = |view: &View| view.next() < current;
        let gone: Vec<Digest> =
            asked.iter().filter(|(view, _)| over(view)).map(|(_, (digest, _))| *digest).collect();
        asked.retain(|view, _| !over(view));
        asked.insert(view, (digest, set));
        let asked: BTreeSet<Digest> = asked.values().map(|(digest, _)| *digest).collect();
        for digest in gone.into_iter().filter(|digest| !asked.contains(digest)) {
            self.cancel(Tag::Aggregate(digest));
        }
    }

    /// The committee adds what proposers asked for.
    pub(super) fn answer_proposers(&mut self) {
        let me = self.config.me;
        let open: Vec<(Digest, Set)> = self
            .round
            .asked
            .values()
            .filter(|(digest, _)| {
                self.round.attestations.get(digest).is_none_or(|a| !a.contains_key(&me))
            })
            .cloned()
            .collect();
        for (digest, set) in open {
            if self.fetch_set(&set)
                && !self.jobs.is_running(Tag::Aggregate(digest))
                && let Some(included) = self.round.included(&set)
            {
                let job = Job::Aggregate { start: self.round.start, set: included };
                self.start(Tag::Aggregate(digest), job);
            }
        }
    }

    pub(crate) fn aggregated(&mut self, set: Digest, aggregate: ObjectRef) {
        if aggregate.check_size().is_err() || !self.persist(Note::Attested { set, aggregate }) {
            return;
        }
        self.note_own_attestation(set, aggregate);
        self.say(Body::Attestation { set, aggregate });
    }

    /// Notes an own attestation, fresh or from the journal, and serves the sum.
    pub(crate) fn note_own_attestation(&mut self, set: Digest, aggregate: ObjectRef) {
        self.objects.made(aggregate);
        self.serve(aggregate, None, Purpose::Aggregate);
        let body = Body::Attestation { set, aggregate };
        if let Some(signature) = self.sign(self.round.number, &body) {
            let attested = self.round.attestations.entry(set).or_default();
            attested.insert(self.config.me, (aggregate, signature));
        }
    }

    pub(super) fn take_attestation(
        &mut self,
        sender: MemberIndex,
        set: Digest,
        aggregate: ObjectRef,
        signature: Signature,
    ) {
        if !self.round.election.in_committee(sender) {
            return self.dropped("attestation: not of the committee");
        }
        let own = self.round.collection.as_ref().is_some_and(|c| c.digest == set);
        // Each member has room of its own: one that attests sets that nobody has asked for takes it from nobody else.
        let attested = self
            .round
            .attestations
            .iter()
            .filter(|(of, by)| **of != set && by.contains_key(&sender));
        if !own && attested.count() >= MAX_SETS {
            return self.dropped("attestation: too many sets");
        }
        let attested = self.round.attestations.entry(set).or_default();
        match attested.get(&sender).copied() {
            Some((first, _)) if first == aggregate => {}
            Some((first, first_signature)) => {
                let first = (Body::Attestation { set, aggregate: first }, first_signature);
                let second = (Body::Attestation { set, aggregate }, signature);
                self.equivocated(sender, first, second);
            }
            None => {
                attested.insert(sender, (aggregate, signature));
            }
        }
    }

    /// The sum of a set that f + 1 committee members attested, and their signatures.
    fn agreed_sum(&self, set: &Digest) -> Option<(ObjectRef, Vec<(MemberIndex, Signature)>)> {
        let mut by_sum: BTreeMap<ObjectRef, Vec<(MemberIndex, Signature)>> = BTreeMap::new();
        for (member, (aggregate, signature)) in self.round.attestations.get(set)? {
            by_sum.entry(*aggregate).or_default().push((*member, *signature));
        }
        let enough = usize::from(self.config.rules().honest_threshold());
        let (sum, mut attestations) = by_sum.into_iter().find(|(_, a)| a.len() >= enough)?;
        attestations.truncate(enough);
        Some((sum, attestations))
    }

    /// What this member can propose, and why it is valid.
    pub(super) fn certifiable(&self) -> Option<(Value, Justification)> {
        let collection = self.round.collection.as_ref()?;
        let (aggregate, attestations) = self.agreed_sum(&collection.digest)?;
        let value = Value::Aggregate { set: collection.set.clone(), aggregate };
        Some((value, Justification { bundle: collection.bundle.clone(), attestations }))
    }
}
