//! The heartbeat that every member sends every few seconds: anti-entropy in two hundred bytes.

use serde::{Deserialize, Serialize};

use super::{Bits, Decision, Versions};
use crate::ids::{RecordDigest, Round, View};
use crate::sign::Signature;

/// Where the sender is; the envelope names its round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The sender's incarnation; 0 while it is not known yet. Of two heartbeats of one sender the
    /// one with the greater pair of `incarnation` and `number` is the newer.
    pub incarnation: u64,
    /// Number of the heartbeat in that incarnation.
    pub number: u64,
    /// The versions of messages that it reads.
    pub versions: Versions,
    /// It takes part in this round, or will as soon as a quorum does.
    pub ready: bool,
    /// Digest of its last record.
    pub head: RecordDigest,
    /// It knows the decided set.
    pub set_decided: bool,
    /// It knows the decided outcome of the round.
    pub outcome_decided: bool,
    /// The decision that it votes on, and its view.
    pub voting: Option<(Decision, View)>,
    /// It has the proposal of that view.
    pub has_proposal: bool,
    /// The messages that it has, by their senders.
    pub known: Known,
}

/// A heartbeat as it was signed, returned to its own sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeartbeat {
    /// The round in which it was signed.
    pub round: Round,
    /// Its content.
    pub heartbeat: Heartbeat,
    /// Its sender's signature.
    pub signature: Signature,
}

/// Whose messages of the round the sender has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Sealing keys for this round.
    pub keys: Bits,
    /// Commitments.
    pub commitments: Bits,
    /// Committee members that have every update that the sender knows of.
    pub have_updates: Bits,
    /// Reports.
    pub reports: Bits,
    /// Attestations of the set that follows from the sender's bundle of reports.
    pub attestations: Bits,
    /// Prevotes of its view.
    pub prevotes: Bits,
    /// Precommits of its view.
    pub precommits: Bits,
    /// Partial decryptions announced.
    pub partials: Bits,
    /// Signatures of the record.
    pub signatures: Bits,
    /// Members whose `Ready` is in the sender's journal.
    pub present: Bits,
    /// Members against whom the sender has evidence.
    pub accused: Bits,
}

impl Known {
    /// Every bitmap, for checks.
    pub(super) fn all(&self) -> [&Bits; 11] {
        [
            &self.keys,
            &self.commitments,
            &self.have_updates,
            &self.reports,
            &self.attestations,
            &self.prevotes,
            &self.precommits,
            &self.partials,
            &self.signatures,
            &self.present,
            &self.accused,
        ]
    }
}
