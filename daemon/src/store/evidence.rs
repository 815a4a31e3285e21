//! Evidence as stored by a node: the proofs, which of them are kept, and whose ban the operator has
//! lifted.
//!
//! For each member and round one proof of each rule is kept, and for each member at most
//! [`MAX_PROOFS_PER_MEMBER`] since its ban was last lifted: the first ones, because one is enough
//! and so later proofs cannot grow an append-only file.

use std::collections::{BTreeMap, BTreeSet};

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::limits::MAX_PROOFS_PER_MEMBER;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::evidence::{Evidence, Rule};
use serde::{Deserialize, Serialize};

use crate::conditions::unix_s;

/// Misbehaviour that was proven to this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceEntry {
    /// The member's name; empty for evidence stored by the first version of the program.
    pub member: String,
    /// What the member did, as text for the operator.
    pub reason: String,
    /// When it was stored, in seconds since 1970 UTC.
    pub kept_unix_s: u64,
    /// The canonical bytes of the protocol's evidence.
    pub proof: Vec<u8>,
}

impl EvidenceEntry {
    /// Evidence stored at the present time.
    #[must_use]
    pub fn now(member: &str, reason: &str, proof: &[u8]) -> Self {
        let (member, reason) = (member.to_owned(), reason.to_owned());
        Self { member, reason, kept_unix_s: unix_s(), proof: proof.to_vec() }
    }

    pub(super) fn of_first_version(proof: Vec<u8>) -> Self {
        Self { member: String::new(), reason: String::new(), kept_unix_s: 0, proof }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_allocvec(self)
    }

    /// The object that the proof is served as.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef::of(&self.proof)
    }

    pub(super) fn key(&self) -> Vec<u8> {
        self.object().root.as_bytes().to_vec()
    }
}

/// Stored evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvidence {
    /// The stored entry: member, reason, time and bytes.
    pub evidence: EvidenceEntry,
    /// The decoded proof; `None` for one that an earlier version of the program stored, which no
    /// other member can check.
    pub proof: Option<Evidence>,
}

/// An operator's lifting of a ban: evidence up to that round no longer counts against the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    /// The member whose ban is lifted.
    pub member: MemberIndex,
    /// The last round whose evidence does not count.
    pub through: Round,
    /// When, in seconds since 1970 UTC.
    pub at_unix_s: u64,
    /// The user that asked for it, if the operating system reports it.
    pub by: Option<String>,
}

/// What is kept in memory of the file.
#[derive(Debug, Default, Clone)]
pub(super) struct EvidenceBook {
    kept: BTreeSet<(MemberIndex, Round, Rule)>,
    lifts: BTreeMap<MemberIndex, Lift>,
}

impl EvidenceBook {
    pub(super) fn note(&mut self, proof: &Evidence) {
        self.kept.insert((proof.member, proof.round, proof.rule()));
    }

    pub(super) fn lift(&mut self, lift: Lift) {
        let known = self.lifts.entry(lift.member).or_insert_with(|| lift.clone());
        if lift.through >= known.through {
            *known = lift;
        }
    }

    pub(super) fn lifts(&self) -> Vec<Lift> {
        self.lifts.values().cloned().collect()
    }

    /// Whether `proof` would be kept under these limits.
    pub(super) fn has_capacity_for(&self, proof: &Evidence) -> bool {
        let through = self.lifts.get(&proof.member).map(|lift| lift.through);
        let counts = |(member, round, _): &&(MemberIndex, Round, Rule)| {
            *member == proof.member && through.is_none_or(|through| *round > through)
        };
        !self.kept.contains(&(proof.member, proof.round, proof.rule()))
            && self.kept.iter().filter(counts).count() < MAX_PROOFS_PER_MEMBER
    }
}
