//! Finished rounds.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{Digest, Round};
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
    /// Size of this node's pruned update as f32, in bytes: the baseline for comparing traffic.
    pub update_bytes_f32: u64,
    /// Size of this node's encrypted update with its headers, in bytes, sent once.
    pub sent_bytes: u64,
}
