//! A proposer that exhausts the committee's limit on sets: in its own views it asks the committee
//! to add as many different sets as it can construct, so that the set of an honest proposer exceeds
//! the limit, and it never proposes one itself.
//!
//! The sets differ in the updates of the members with this fault. Each of them sends every receiver
//! a different commitment (the same ciphertext and sealed shares, another published part) and tells
//! every receiver that it holds the update committed to there. So every honest report lists other
//! updates of theirs, and the reports that they sign themselves, different in each bundle, decide
//! which of these are in U: together with one honest report, q - f members list it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round, View};
use fedshield_protocol::wire::{
    Body, CommitmentBody, ReportBundle, Signed, SignedReport, UpdateSet,
};

use crate::l0::faults::Fault;
use crate::l0::world::World;

/// Most bundles in one view; more than an earlier limit on the sets of a round.
const MOST: usize = 20;

/// What such a member has sent and received in its newest round.
#[derive(Debug, Default)]
pub(crate) struct SetFlooding {
    round: Round,
    /// Its own commitment, as output by its machine.
    own: Option<CommitmentBody>,
    reports: BTreeMap<MemberIndex, SignedReport>,
    /// The views and the members that it has sent its bundles to.
    asked: BTreeSet<(View, MemberIndex)>,
}

impl SetFlooding {
    fn enter(&mut self, round: Round) {
        if round > self.round {
            *self = Self { round, ..Self::default() };
        }
    }
}

/// The variant of the commitment `body` that is sent to `receiver`.
pub(in crate::l0) fn commitment_for(
    receiver: MemberIndex,
    body: &CommitmentBody,
) -> CommitmentBody {
    let mut body = body.clone();
    body.shares.extend_from_slice(&receiver.0.to_le_bytes());
    body
}

impl World {
    /// Records `bytes`, which the node has received, if they are a report of its newest round.
    pub(in crate::l0) fn record_report(&mut self, index: usize, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.fault != Some(Fault::FloodsSets) {
            return;
        }
        let Ok(Signed { sender, round, signature, body: Body::Report(set), .. }) =
            Signed::decode(bytes)
        else {
            return;
        };
        node.set_flooding.enter(round);
        if node.set_flooding.round == round {
            node.set_flooding.reports.insert(sender, (set, signature));
        }
    }

    /// The messages that the node sends to `to` in place of `bytes`.
    pub(in crate::l0) fn instead(
        &mut self,
        index: usize,
        to: MemberIndex,
        bytes: &Arc<[u8]>,
    ) -> Vec<Arc<[u8]>> {
        let same = || vec![Arc::clone(bytes)];
        let Some(node) = self.nodes.get_mut(index) else { return Vec::new() };
        let Ok(signed) = Signed::decode(bytes) else { return same() };
        if signed.sender != node.member {
            return same();
        }
        node.set_flooding.enter(signed.round);
        let bodies = match &signed.body {
            Body::Commitment(body) => {
                node.set_flooding.own = Some(body.as_ref().clone());
                vec![Body::Commitment(Box::new(commitment_for(to, body)))]
            }
            Body::HaveUpdates(list) => {
                let mut list: BTreeSet<CommitmentDigest> = list.iter().copied().collect();
                list.extend(self.commitments_for(to, signed.round));
                vec![Body::HaveUpdates(list.into_iter().collect())]
            }
            Body::ReportBundle { view, .. } => {
                if !node.set_flooding.asked.insert((*view, to)) {
                    return Vec::new();
                }
                let bundle = |bundle| Body::ReportBundle { view: *view, bundle };
                self.bundles(index, signed.round).into_iter().map(bundle).collect()
            }
            Body::Report(_) | Body::Proposal(_) => Vec::new(),
            _ => return same(),
        };
        let message = |body| self.federation.message(signed.sender, signed.round, body);
        bodies.into_iter().filter_map(message).map(Arc::from).collect()
    }

    fn of_its_kind(&self) -> impl Iterator<Item = MemberIndex> {
        let faulty = self.plan.faulty.iter();
        faulty.filter(|(_, fault)| *fault == Fault::FloodsSets).map(|(member, _)| *member)
    }

    /// The digests of the commitments that members with this fault have sent to `receiver`.
    fn commitments_for(&self, receiver: MemberIndex, round: Round) -> Vec<CommitmentDigest> {
        let scope = self.federation.scope(round);
        let of = |member| {
            let node = self.nodes.iter().find(|node| node.member == member)?;
            let own =
                node.set_flooding.own.as_ref().filter(|_| node.set_flooding.round == round)?;
            scope.commitment(member, &commitment_for(receiver, own)).ok()
        };
        self.of_its_kind().filter(|member| *member != receiver).filter_map(of).collect()
    }

    /// Up to [`MOST`] bundles of reports, each of which gives a different set.
    fn bundles(&self, index: usize, round: Round) -> Vec<ReportBundle> {
        let Some(node) = self.nodes.get(index) else { return Vec::new() };
        let byzantine: Vec<MemberIndex> = self.of_its_kind().collect();
        let honest: BTreeMap<MemberIndex, &SignedReport> = node
            .set_flooding
            .reports
            .iter()
            .filter(|(member, _)| !byzantine.contains(member))
            .map(|(member, report)| (*member, report))
            .collect();
        // Each member with this fault has no update in the set, or one that an honest member lists.
        let mut choices: Vec<Vec<(MemberIndex, CommitmentDigest)>> = vec![Vec::new()];
        for member in &byzantine {
            let sets = honest.values().flat_map(|(set, _)| set);
            let listed: BTreeSet<_> =
                sets.filter(|(contributor, _)| contributor == member).collect();
            let longer = |entry| {
                let with = |chosen: &Vec<_>| chosen.iter().chain([entry]).copied().collect();
                choices.iter().map(with).collect::<Vec<_>>()
            };
            let longer: Vec<Vec<_>> = listed.into_iter().flat_map(longer).collect();
            choices.extend(longer);
        }
        let bundle = |chosen: &Vec<_>| self.bundle(round, &byzantine, &honest, chosen);
        choices.iter().skip(1).filter_map(bundle).take(MOST).collect()
    }

    /// A bundle that gives a set with `chosen`, if there is one.
    fn bundle(
        &self,
        round: Round,
        byzantine: &[MemberIndex],
        honest: &BTreeMap<MemberIndex, &SignedReport>,
        chosen: &[(MemberIndex, CommitmentDigest)],
    ) -> Option<ReportBundle> {
        let quorum = self.federation.rules().quorum;
        let wanted = usize::from(quorum).checked_sub(byzantine.len())?;
        let mut others: Vec<_> = honest.iter().collect();
        // Reports that list a chosen update come first.
        others.sort_by_key(|(_, (set, _))| !chosen.iter().any(|entry| set.contains(entry)));
        others.truncate(wanted);
        let listed = others.iter().flat_map(|(_, (set, _))| set).copied();
        let listed: BTreeSet<_> = listed
            .filter(|(contributor, _)| !byzantine.contains(contributor))
            .chain(chosen.iter().copied())
            .collect();
        let own: UpdateSet = listed.into_iter().collect();
        let body = Body::Report(own.clone());
        let mut reports: BTreeMap<MemberIndex, SignedReport> =
            others.into_iter().map(|(member, report)| (*member, (*report).clone())).collect();
        for member in byzantine {
            let signature = self.federation.sign(*member, round, &body)?;
            reports.insert(*member, (own.clone(), signature));
        }
        ReportBundle::pack(&reports, quorum)
    }
}
