//! The status that every member sends every few seconds: anti-entropy in two hundred bytes.

use serde::{Deserialize, Serialize};

use super::{Bits, Decision};
use crate::ids::{Digest, Round, View};
use crate::sign::Signature;

/// Where the sender is; the envelope names its round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which life of its author says it; 0 if that is not known yet. Of two heartbeats the one with the greater pair of `life`
    /// and `number` is the newer.
    pub life: u64,
    /// Which heartbeat of that life it is.
    pub number: u64,
    /// It takes part in this round, or will as soon as a quorum does.
    pub ready: bool,
    /// Digest of its last record.
    pub head: Digest,
    /// It knows what was decided about the set.
    pub set_decided: bool,
    /// It knows what was decided about the end of the round.
    pub end_decided: bool,
    /// The vote it takes part in, and its view.
    pub voting: Option<(Decision, View)>,
    /// It has the proposal of that view.
    pub has_proposal: bool,
    /// What it has, by author.
    pub known: Known,
}

/// A heartbeat as it was signed, to be shown to its own author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeartbeat {
    /// In which round it was said.
    pub round: Round,
    /// What was said.
    pub heartbeat: Heartbeat,
    /// Its author's signature.
    pub signature: Signature,
}

/// Whose messages of the round the sender has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Sealing keys for this round.
    pub keys: Bits,
    /// Commitments.
    pub commitments: Bits,
    /// Committee members that announced every update the sender knows of.
    pub holds: Bits,
    /// Reports.
    pub reports: Bits,
    /// Attestations of the set that the sender collected.
    pub attestations: Bits,
    /// Prevotes of its view.
    pub prevotes: Bits,
    /// Precommits of its view.
    pub precommits: Bits,
    /// Partial decryptions announced.
    pub partials: Bits,
    /// Signatures of the record.
    pub signatures: Bits,
    /// Members that said that they take part; in the sender's journal.
    pub present: Bits,
    /// Members against whom the sender holds proof.
    pub accused: Bits,
}

impl Known {
    /// Every bitmap, for checks.
    pub(super) fn all(&self) -> [&Bits; 11] {
        [
            &self.keys,
            &self.commitments,
            &self.holds,
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
