//! The status of a node.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{Digest, IdentityKey, Round};
use fedshield_protocol::status::Status;
use serde::{Deserialize, Serialize};

use super::adapter::{AtHome, Comparison};
use super::{
    Absent, Condition, FederationSummary, MeanLoss, MemberTransport, Pause, Severity, Waiting,
};

/// The state of this node with respect to a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// In no federation.
    Idle,
    /// Owner of a draft that others may join.
    Draft,
    /// Has asked to join a draft and waits until its owner freezes it.
    Joining,
    /// The manifest is frozen; signatures are being collected.
    Founding,
    /// In a founded federation; rounds run.
    Active,
    /// All rounds of the manifest are done.
    Done,
    /// In a founded federation, and an operator has paused this node: it takes part in no round.
    Paused,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The daemon's version.
    pub version: String,
    /// This node's name, from its configuration.
    pub name: String,
    /// This node's identity.
    pub identity_key: IdentityKey,
    /// Multiaddresses that others can dial, with the ports that were actually bound.
    pub listen: Vec<String>,
    /// Where metrics and dashboard are served, `127.0.0.1:40123`; `None` if switched off.
    pub http: Option<String>,
    /// The state of this node.
    pub state: NodeState,
    /// The federation or the draft, if any.
    pub federation: Option<FederationSummary>,
    /// The protocol machine's own view, once the federation is founded.
    pub machine: Option<Status>,
    /// The work in progress; of several tasks the one that is first in the path of an update.
    pub progress: Option<WorkProgress>,
    /// The last error that did not resolve by itself, for the operator. Cleared by the next applied
    /// round.
    pub last_error: Option<String>,
    /// The last measurement of the common adapter on this member's own held-out data; never leaves
    /// the node.
    #[serde(default)]
    pub held_out: Option<HeldOut>,
    /// The last mean of what the members measured together, from the ledger: the same at all of
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_loss: Option<MeanLoss>,
    /// What joining is worth to this member, if it was compared with the common adapter of now;
    /// never leaves the node.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// The adapters that this node makes for itself once the federation is done; `None` before.
    #[serde(default)]
    pub at_home: Option<AtHome>,
    /// Members whose misbehaviour was proven since the daemon started, and how; the newest last, at
    /// most [`MAX_MISBEHAVIOUR`].
    #[serde(default)]
    pub misbehaviour: Vec<String>,
    /// Conditions that hold at the moment, in the order in which they began.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// An operator's pause, including one that takes effect after the round in progress.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// Members that are absent at the moment, in the order of the manifest.
    #[serde(default)]
    pub absent: Vec<Absent>,
    /// What the round waits for.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// By member name: rounds since the start in which its partial decryptions could not be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable_partials: BTreeMap<String, u64>,
    /// Transports of the connected members, by name; updated every few seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub transports: BTreeMap<String, MemberTransport>,
}

/// Most entries of [`NodeStatus::misbehaviour`].
pub const MAX_MISBEHAVIOUR: usize = 16;

impl NodeStatus {
    /// Whether nothing keeps this node from taking part in rounds. Otherwise the time left cannot
    /// be estimated.
    #[must_use]
    pub fn can_take_part(&self) -> bool {
        self.conditions.iter().all(|condition| condition.severity < Severity::Blocking)
    }

    /// The status of a node that is in no federation.
    #[must_use]
    pub fn starting(name: &str, identity_key: IdentityKey) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.to_owned(),
            identity_key,
            listen: Vec::new(),
            http: None,
            state: NodeState::Idle,
            federation: None,
            machine: None,
            progress: None,
            last_error: None,
            held_out: None,
            mean_loss: None,
            comparison: None,
            at_home: None,
            misbehaviour: Vec::new(),
            conditions: Vec::new(),
            pause: None,
            absent: Vec::new(),
            waiting: None,
            unreadable_partials: BTreeMap::new(),
            transports: BTreeMap::new(),
        }
    }
}

/// Mean losses on a fixed sample of this member's held-out data, nats per response token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// The round whose adapter was measured.
    pub round: Round,
    /// Loss with that adapter.
    pub loss: f64,
    /// Loss of the frozen model, once measured.
    pub base: Option<f64>,
    /// Examples in the sample.
    pub examples: u64,
    /// Response tokens in it.
    pub tokens: u64,
    /// Digest of the sample: only losses on the same one can be compared. `None` in measurements of
    /// earlier versions.
    #[serde(default)]
    pub sample: Option<Digest>,
}

/// Work in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkProgress {
    /// The job, in the words of the path: `train`, `prune`, `encrypt`, `share`, `aggregate`,
    /// `decrypt`, `combine`, `apply`, `evaluate`.
    pub phase: String,
    /// Optimiser steps done; 0 for work without steps.
    pub step: u64,
    /// Total number of steps; 0 if unknown.
    pub steps: u64,
    /// Training loss of the last step, nats per token.
    pub loss: Option<f64>,
    /// Training speed, in tokens per second.
    pub tokens_per_second: Option<f64>,
    /// From 0 to 1.
    pub fraction: f64,
}
