//! Everything that is known of the current round. Nothing in it survives the round's record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::answer::SealedAgain;
use super::check_key::NamedKeys;
use super::complain::Asking;
use super::elect::Presence;
use super::lapse::Complaints;
use super::reject::Verdicts;
use super::stirred::Stirred;
use crate::consensus::Agreement;
use crate::election::Election;
use crate::ids::{Digest, MemberIndex, Round, View};
use crate::job::{Applied, Included, RoundStart, UpdateShape};
use crate::ledger::Tip;
use crate::machine::Config;
use crate::object::ObjectRef;
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::journal::VotingState;
use crate::wire::{Body, CommitmentBody, Decision, Record, ReportBundle, Set, SignedReport, Value};

/// Deadlines that have passed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    pub(crate) commit_over: bool,
    pub(crate) transfer_over: bool,
    pub(crate) decrypt_over: bool,
    pub(crate) round_over: bool,
}

/// What is known of the own share in a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    Unknown,
    Valid,
    /// The box does not open to its digest, or fails the test.
    Bad,
}

/// What is known of a ciphertext that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Unknown,
    /// It can be added: its bytes are an encryption by its author of as many values as the round has.
    Sound,
    /// Its bytes are something else, or the published part of its sharing is.
    Malformed,
}

/// A commitment and how far it has come.
#[derive(Debug, Clone)]
pub(crate) struct Commitment {
    pub(crate) author: MemberIndex,
    pub(crate) body: Arc<CommitmentBody>,
    pub(crate) signature: Signature,
    pub(crate) share: Share,
    /// The dealer answered a complaint with a wrong opening.
    pub(crate) spoiled: bool,
    /// Whether its ciphertext can be added, for the committee.
    pub(crate) form: Form,
    /// This member, of the committee, holds all of it.
    pub(crate) whole: bool,
    /// It comes from the journal: what of it is here has not been served in this life.
    pub(crate) recalled: bool,
}

/// The proposer's reports and what follows from them.
#[derive(Debug, Clone)]
pub(crate) struct Collection {
    pub(crate) bundle: ReportBundle,
    pub(crate) set: Set,
    pub(crate) digest: Digest,
    /// The last view in which the committee was asked.
    pub(crate) asked_in: Option<View>,
}

/// A partial decryption that was announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) set: Digest,
    pub(crate) object: ObjectRef,
    pub(crate) signature: Signature,
}

#[derive(Debug, Clone)]
pub(crate) struct RoundState {
    pub(crate) number: Round,
    pub(crate) phase: Phase,
    pub(crate) start: RoundStart,
    /// What updates look like, once the host has said so.
    pub(crate) shape: Option<UpdateShape>,
    pub(crate) election: Election,
    pub(crate) clock: Clock,

    pub(crate) presence: Presence,

    /// The own commitment.
    pub(crate) own: Option<Digest>,
    pub(crate) commitments: BTreeMap<Digest, Commitment>,
    /// The first commitment of each member; only this one is transferred and reported.
    pub(crate) first: BTreeMap<MemberIndex, Digest>,
    /// Updates to look at again.
    pub(crate) stirred: Stirred,
    /// Commitments that a set names and that are not here.
    pub(crate) missing: BTreeSet<Digest>,
    pub(crate) have_updates: BTreeMap<MemberIndex, BTreeSet<Digest>>,
    /// What of it was signed how, and which updates the committee could not read.
    pub(crate) verdicts: Verdicts,
    /// The own update is encrypted; its boxes are not sealed yet.
    pub(crate) encrypted: bool,
    /// Updates whose share is asked for again.
    pub(crate) asking: BTreeMap<Digest, Asking>,
    /// Members that asked for their box of the own update again.
    pub(crate) resealed: BTreeMap<MemberIndex, SealedAgain>,
    /// Complaints in clear about others' updates.
    pub(crate) complaints: Complaints,
    /// Members whose share in the own update is shown in clear, by the journal.
    pub(crate) complainers: BTreeSet<MemberIndex>,
    /// Answers to complaints: those of others under check or checked, the own ones to say them again.
    pub(crate) share_openings: BTreeMap<(Digest, MemberIndex), (Vec<u8>, Signature)>,

    pub(crate) reports: BTreeMap<MemberIndex, SignedReport>,
    pub(crate) collection: Option<Collection>,
    /// The set that the proposer of each view asked the committee to add, with its digest.
    pub(crate) asked: BTreeMap<View, (Digest, Set)>,
    pub(crate) attestations: BTreeMap<Digest, BTreeMap<MemberIndex, (ObjectRef, Signature)>>,

    pub(crate) set_vote: Agreement,
    pub(crate) outcome_vote: Agreement,
    /// Values by digest, of both decisions.
    pub(crate) values: BTreeMap<Digest, Value>,
    /// Aggregates that came with valid justification.
    pub(crate) justified: BTreeSet<Digest>,
    /// The own last proposals.
    pub(crate) proposed: BTreeMap<Decision, (View, Body, Signature)>,
    /// The first proposal of each view, to notice a second.
    pub(crate) offered: BTreeMap<(Decision, View), (Body, Signature)>,

    /// Decisions that are in the journal.
    pub(crate) remembered: BTreeSet<Decision>,
    /// The decided set and its aggregate.
    pub(crate) decided: Option<(Set, ObjectRef)>,
    /// Digest of that set.
    pub(crate) decided_digest: Option<Digest>,
    pub(crate) partials: BTreeMap<MemberIndex, Answer>,
    /// What this member released: for which set, which object.
    pub(crate) released: Option<(Digest, ObjectRef)>,
    /// Commitments that are in the journal.
    pub(crate) kept: BTreeSet<Digest>,
    /// How many answers the last combine job had.
    pub(crate) combined_with: usize,
    /// Key and sum that are on this disk: by the own combine job, or by a key that another member named.
    pub(crate) opened: Option<(ObjectRef, Digest)>,
    /// Keys that were named, and what they open.
    pub(crate) keys: NamedKeys,
    /// An earlier life opened it; that the sum is still on disk is not certain.
    pub(crate) opened_before: bool,
    pub(crate) applied: Option<Applied>,
    pub(crate) record: Option<Record>,
    /// The record signed before a restart.
    pub(crate) signed_before: Option<Record>,
    pub(crate) signatures: BTreeMap<MemberIndex, (Digest, Signature)>,
    /// Proofs that have come to hand in this round: the record's attachments name them.
    pub(crate) banned: BTreeMap<MemberIndex, ObjectRef>,
    /// Members whose answers the own combine job found to be wrong, until the proof is put together.
    pub(crate) culprits: Vec<MemberIndex>,
}

impl RoundState {
    /// The round after `tip`, before anything has happened in it.
    pub(crate) fn new(config: &Config, tip: &Tip) -> Self {
        let rules = config.rules();
        let number = tip.round;
        let election = Election::draw(
            &tip.beacon,
            config.manifest.epoch(),
            number,
            rules.member_count,
            rules.committee_size,
        );
        let vote = |decision| Agreement::new(decision, config.me, rules, VotingState::default());
        Self {
            number,
            phase: Phase::Gather,
            start: RoundStart { round: number, applied: tip.applied, beacon: tip.beacon },
            shape: None,
            election,
            clock: Clock::default(),
            presence: Presence::default(),
            own: None,
            commitments: BTreeMap::new(),
            first: BTreeMap::new(),
            stirred: Stirred::default(),
            missing: BTreeSet::new(),
            have_updates: BTreeMap::new(),
            verdicts: Verdicts::default(),
            encrypted: false,
            asking: BTreeMap::new(),
            resealed: BTreeMap::new(),
            complaints: Complaints::default(),
            complainers: BTreeSet::new(),
            share_openings: BTreeMap::new(),
            reports: BTreeMap::new(),
            collection: None,
            asked: BTreeMap::new(),
            attestations: BTreeMap::new(),
            set_vote: vote(Decision::Set),
            outcome_vote: vote(Decision::Outcome),
            values: [Value::Skip, Value::Void].into_iter().map(|v| (v.id(), v)).collect(),
            justified: BTreeSet::new(),
            proposed: BTreeMap::new(),
            offered: BTreeMap::new(),
            remembered: BTreeSet::new(),
            decided: None,
            decided_digest: None,
            partials: BTreeMap::new(),
            released: None,
            kept: BTreeSet::new(),
            combined_with: 0,
            opened: None,
            keys: NamedKeys::default(),
            opened_before: false,
            applied: None,
            record: None,
            signed_before: None,
            signatures: BTreeMap::new(),
            banned: BTreeMap::new(),
            culprits: Vec::new(),
        }
    }

    pub(crate) const fn vote_on(&self, decision: Decision) -> &Agreement {
        match decision {
            Decision::Set => &self.set_vote,
            Decision::Outcome => &self.outcome_vote,
        }
    }

    pub(crate) const fn vote_on_mut(&mut self, decision: Decision) -> &mut Agreement {
        match decision {
            Decision::Set => &mut self.set_vote,
            Decision::Outcome => &mut self.outcome_vote,
        }
    }

    /// The vote that this member takes part in, and its view.
    pub(crate) fn voting(&self) -> Option<(Decision, View)> {
        [Decision::Outcome, Decision::Set].into_iter().find_map(|decision| {
            let vote = self.vote_on(decision);
            (vote.is_started() && vote.decided().is_none()).then_some((decision, vote.view()))
        })
    }

    /// The updates of `set` as jobs need them; `None` while a commitment is missing.
    pub(crate) fn included(&self, set: &Set) -> Option<Vec<Included>> {
        set.iter()
            .map(|(member, digest)| {
                let known = self.commitments.get(digest).filter(|c| c.author == *member)?;
                let body = known.body.as_ref().clone();
                Some(Included { member: *member, commitment: *digest, body })
            })
            .collect()
    }

    /// One update as jobs need it.
    pub(crate) fn dealer(&self, digest: &Digest) -> Option<Included> {
        let known = self.commitments.get(digest)?;
        let body = known.body.as_ref().clone();
        Some(Included { member: known.author, commitment: *digest, body })
    }

    /// Committee members that announced this commitment.
    pub(crate) fn holders_of(&self, digest: &Digest) -> Vec<MemberIndex> {
        let have_updates =
            |m: &&MemberIndex| self.have_updates.get(m).is_some_and(|held| held.contains(digest));
        self.election.committee().iter().filter(have_updates).copied().collect()
    }

    /// Whether a committee member has announced or rejected every commitment known here that is one of this round's.
    pub(crate) fn holds_everything(&self, member: MemberIndex) -> bool {
        let held = self.have_updates.get(&member);
        self.first.values().all(|digest| {
            held.is_some_and(|held| held.contains(digest))
                || self.is_rejected_by(member, digest)
                || self.misshape_of(digest).is_some()
        })
    }

    /// Committee members of which no announcement is missed.
    pub(crate) fn complete_holders(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.election.committee().iter().copied().filter(|m| self.holds_everything(*m))
    }

    /// Whether the own share in the commitment of `member` is valid.
    pub(crate) fn has_valid_share_of(&self, member: MemberIndex) -> bool {
        self.first
            .get(&member)
            .and_then(|digest| self.commitments.get(digest))
            .is_some_and(|commitment| commitment.share == Share::Valid)
    }

    /// Who attested the set that this member collected.
    pub(crate) fn bundle_attesters(&self) -> Vec<MemberIndex> {
        let digest = self.collection.as_ref().map(|collection| collection.digest);
        digest
            .and_then(|digest| self.attestations.get(&digest))
            .map(|attested| attested.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The own commitment, to say it again.
    pub(crate) fn own_commitment(&self) -> Option<Body> {
        let own = self.commitments.get(&self.own?)?;
        Some(Body::Commitment(Box::new(own.body.as_ref().clone())))
    }

    /// The own announcement, to say it again.
    pub(crate) fn own_holds(&self, me: MemberIndex) -> Option<Body> {
        let held = self.have_updates.get(&me).filter(|held| !held.is_empty())?;
        Some(Body::HaveUpdates(held.iter().copied().collect()))
    }

    /// The own attestations, to say them again.
    pub(crate) fn own_attestations(&self, me: MemberIndex) -> Vec<Body> {
        self.attestations
            .iter()
            .filter_map(|(set, attested)| {
                let (aggregate, _) = attested.get(&me)?;
                Some(Body::Attestation { set: *set, aggregate: *aggregate })
            })
            .collect()
    }
}
