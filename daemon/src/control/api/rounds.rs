//! Finished rounds.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::wire::Measured;
use serde::{Deserialize, Serialize};

/// How a round ended, without details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundOutcome {
    /// The sum was opened and applied.
    Applied,
    /// The sum was opened and failed the range check.
    Rejected,
    /// The set was decided but its sum could not be opened.
    Void,
    /// Nothing was decided.
    Skipped,
    /// The round after the last one: the members measured the final adapter together.
    Measured,
}

/// The mean of what the members measured together: each one's loss on its own validation sample
/// over the base model's there, every member counting once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanLoss {
    /// The round whose record holds it. The adapter is the one that this round started from.
    pub round: Round,
    /// The mean of loss over base loss: 1 is as good as the base model, less is better.
    pub ratio: f64,
    /// Members that it is the mean of.
    pub members: u16,
}

impl MeanLoss {
    /// Of the record of `round`.
    #[must_use]
    pub fn of(round: Round, measured: &Measured) -> Self {
        Self { round, ratio: measured.mean(), members: measured.count }
    }
}

/// `GET /v1/rounds`: one finished round, as recorded by this node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// The round that ended.
    pub round: Round,
    /// How it ended.
    pub outcome: RoundOutcome,
    /// Root of the global adapter afterwards; `None` before the first applied round.
    pub adapter_digest: Option<Digest>,
    /// Names of the members whose updates are in the sum.
    pub contributors: Vec<String>,
    /// Names of the committee members, which added the ciphertexts.
    pub committee: Vec<String>,
    /// Bytes this node sent, by phase or purpose: `ciphertext`, `share`, `aggregate`, `partial`,
    /// `key`, `adapter`, `evidence`, `messages`.
    pub bytes: BTreeMap<String, u64>,
    /// Bytes this node received, with the same keys.
    pub bytes_in: BTreeMap<String, u64>,
    /// Duration of each phase at this node, in seconds.
    pub seconds: BTreeMap<String, f64>,
    /// Mean training loss of the round's steps; `None` if this node did not train.
    pub train_loss: Option<f64>,
    /// Loss of the adapter afterwards on a fixed sample of this node's held-out data; `None` until
    /// it is measured, and for rounds without a new adapter.
    pub held_out_loss: Option<f64>,
    /// What the members measured together of the adapter that the round started from; `None` where
    /// they do not, and for rounds without a mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_loss: Option<MeanLoss>,
    /// Size of this node's pruned update as f32, in bytes: the baseline for comparing traffic.
    pub update_bytes_f32: u64,
    /// Size of this node's encrypted update with its headers, in bytes, sent once.
    pub sent_bytes: u64,
}
