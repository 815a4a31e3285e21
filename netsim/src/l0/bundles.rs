//! A proposer that fills the places for sets: when it is its turn it asks the committee to add as many different sets as it can
//! make up, so that the set of an honest proposer finds no place, and never proposes one itself.
//!
//! It makes sets differ by the updates of its own kind. Each of them commits to another digest for each receiver (the same
//! ciphertext and boxes, another published part) and announces to each that it holds what that one has. So every honest report
//! lists other updates of theirs, and the reports that they sign themselves, another one for each bundle, decide which of
//! these are in U: with the one honest report q - f members list it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fedshield_protocol::ids::{Digest, MemberIndex, Round, View};
use fedshield_protocol::sign::Signatures;
use fedshield_protocol::wire::{Body, Collected, CommitmentBody, Set, Signed, SignedReport};

use super::faults::Fault;
use super::world::World;

/// Most bundles in one view: more than the sets that a round once had room for.
const MOST: usize = 20;

/// What such a member has sent and received in its newest round.
#[derive(Debug, Default)]
pub(crate) struct Bundles {
    round: Round,
    /// Its own commitment, as its machine has made it.
    own: Option<CommitmentBody>,
    reports: BTreeMap<MemberIndex, SignedReport>,
    /// Whom it has asked, in which view.
    asked: BTreeSet<(View, MemberIndex)>,
}

impl Bundles {
    fn enter(&mut self, round: Round) {
        if round > self.round {
            *self = Self { round, ..Self::default() };
        }
    }
}

/// The commitment that `receiver` gets.
pub(super) fn commitment_for(receiver: MemberIndex, body: &CommitmentBody) -> CommitmentBody {
    let mut body = body.clone();
    body.shares.extend_from_slice(&receiver.0.to_le_bytes());
    body
}

impl World {
    /// A node has been handed `bytes`.
    pub(super) fn record_report(&mut self, index: usize, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.fault != Some(Fault::FillsSets) {
            return;
        }
        let Ok(Signed { sender, round, signature, body: Body::Report(set), .. }) =
            Signed::decode(bytes)
        else {
            return;
        };
        node.bundles.enter(round);
        if node.bundles.round == round {
            node.bundles.reports.insert(sender, (set, signature));
        }
    }

    /// What the node sends to `to` instead of `bytes`.
    pub(super) fn instead(
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
        node.bundles.enter(signed.round);
        let bodies = match &signed.body {
            Body::Commitment(body) => {
                node.bundles.own = Some(body.as_ref().clone());
                vec![Body::Commitment(Box::new(commitment_for(to, body)))]
            }
            Body::Holds(list) => {
                let mut list: BTreeSet<Digest> = list.iter().copied().collect();
                list.extend(self.commitments_for(to, signed.round));
                vec![Body::Holds(list.into_iter().collect())]
            }
            Body::Collected { view, .. } => {
                if !node.bundles.asked.insert((*view, to)) {
                    return Vec::new();
                }
                let bundle = |collected| Body::Collected { view: *view, collected };
                self.bundles(index, signed.round).into_iter().map(bundle).collect()
            }
            Body::Report(_) | Body::Proposal(_) => Vec::new(),
            _ => return same(),
        };
        let scope = self.federation.scope(signed.round);
        let signatures = self.federation.signatures(signed.sender);
        let sign = |body: Body| {
            let signature = signatures.sign(&scope.digest(signed.sender, &body).ok()?);
            Signed::new(scope, signed.sender, body, signature).encode().ok().map(Arc::from)
        };
        bodies.into_iter().filter_map(sign).collect()
    }

    fn of_its_kind(&self) -> impl Iterator<Item = MemberIndex> {
        let faulty = self.plan.faulty.iter();
        faulty.filter(|(_, fault)| *fault == Fault::FillsSets).map(|(member, _)| *member)
    }

    /// The digests of what its kind has committed to towards `receiver`.
    fn commitments_for(&self, receiver: MemberIndex, round: Round) -> Vec<Digest> {
        let scope = self.federation.scope(round);
        let of = |member| {
            let node = self.nodes.iter().find(|node| node.member == member)?;
            let own = node.bundles.own.as_ref().filter(|_| node.bundles.round == round)?;
            scope.commitment(member, &commitment_for(receiver, own)).ok()
        };
        self.of_its_kind().filter(|member| *member != receiver).filter_map(of).collect()
    }

    /// Bundles of reports from which different sets follow.
    fn bundles(&self, index: usize, round: Round) -> Vec<Collected> {
        let Some(node) = self.nodes.get(index) else { return Vec::new() };
        let liars: Vec<MemberIndex> = self.of_its_kind().collect();
        let honest: BTreeMap<MemberIndex, &SignedReport> = node
            .bundles
            .reports
            .iter()
            .filter(|(member, _)| !liars.contains(member))
            .map(|(member, report)| (*member, report))
            .collect();
        // Of each liar none of its updates is in the set, or one that an honest member lists.
        let mut choices: Vec<Vec<(MemberIndex, Digest)>> = vec![Vec::new()];
        for liar in &liars {
            let sets = honest.values().flat_map(|(set, _)| set);
            let listed: BTreeSet<_> = sets.filter(|(author, _)| author == liar).collect();
            let longer = |entry| {
                let with = |chosen: &Vec<_>| chosen.iter().chain([entry]).copied().collect();
                choices.iter().map(with).collect::<Vec<_>>()
            };
            let longer: Vec<Vec<_>> = listed.into_iter().flat_map(longer).collect();
            choices.extend(longer);
        }
        let bundle = |chosen: &Vec<_>| self.bundle(round, &liars, &honest, chosen);
        choices.iter().skip(1).filter_map(bundle).take(MOST).collect()
    }

    /// The bundle from which a set with `chosen` follows, if there is one.
    fn bundle(
        &self,
        round: Round,
        liars: &[MemberIndex],
        honest: &BTreeMap<MemberIndex, &SignedReport>,
        chosen: &[(MemberIndex, Digest)],
    ) -> Option<Collected> {
        let quorum = self.federation.rules().quorum;
        let wanted = usize::from(quorum).checked_sub(liars.len())?;
        let mut others: Vec<_> = honest.iter().collect();
        // Those that list what is chosen come first.
        others.sort_by_key(|(_, (set, _))| !chosen.iter().any(|entry| set.contains(entry)));
        others.truncate(wanted);
        let listed = others.iter().flat_map(|(_, (set, _))| set).copied();
        let listed: BTreeSet<_> = listed
            .filter(|(author, _)| !liars.contains(author))
            .chain(chosen.iter().copied())
            .collect();
        let own: Set = listed.into_iter().collect();
        let body = Body::Report(own.clone());
        let mut reports: BTreeMap<MemberIndex, SignedReport> =
            others.into_iter().map(|(member, report)| (*member, (*report).clone())).collect();
        for liar in liars {
            let digest = self.federation.scope(round).digest(*liar, &body).ok()?;
            let signature = self.federation.signatures(*liar).sign(&digest);
            reports.insert(*liar, (own.clone(), signature));
        }
        Collected::pack(&reports, quorum)
    }
}
