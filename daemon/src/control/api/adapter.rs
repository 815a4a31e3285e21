//! The global adapter: its export and its evaluation.

use std::path::PathBuf;

use fedshield_protocol::ids::{Digest, Round};
use serde::{Deserialize, Serialize};

/// `POST /v1/adapter/export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Absolute path of a folder on the daemon's machine; created if missing.
    pub directory: PathBuf,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportView {
    /// The folder that it was written to.
    pub directory: PathBuf,
    /// The files in it.
    pub files: Vec<PathBuf>,
    /// Root of the exported adapter.
    pub adapter_digest: Digest,
    /// The round after which this adapter was the global one.
    pub round: Round,
}

/// `POST /v1/evaluate`: held-out loss at this node, nats per token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Loss of the frozen model.
    pub base: f64,
    /// Loss of an adapter trained on this node's data alone with the same number of steps, if there
    /// is one.
    pub local: Option<f64>,
    /// Loss of the global adapter; `None` before the first applied round.
    pub federated: Option<f64>,
    /// Number of held-out examples.
    pub examples: u64,
    /// Number of held-out response tokens.
    pub tokens: u64,
    /// One prompt, answered without and with the global adapter.
    pub sample: Option<Sample>,
}

/// One prompt and two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// A held-out prompt.
    pub prompt: String,
    /// The answer in the data.
    #[serde(default)]
    pub reference: String,
    /// The frozen model's answer.
    pub before: String,
    /// The answer with the global adapter.
    pub after: String,
}
