//! The control API's JSON: what travels over `<home>/control.sock`. The CLI and the dashboard use these types.
//!
//! HTTP/1.1 over a Unix socket. Bodies are JSON, except [`path::LEDGER`], which gives bytes. Every failure is an
//! [`ErrorBody`] with a status from [`ErrorCode::http_status`]. Fields may be added within `/v1`; none changes
//! its meaning or goes away. Sizes are in bytes, losses in nats per token, digests and keys in lower-case hex.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`NodeStatus`] |
//! | `GET /v1/members` | | `[`[`MemberView`]`]` |
//! | `GET /v1/rounds` | | `[`[`RoundReport`]`]`, oldest first |
//! | `GET /v1/federation` | | [`FederationView`] |
//! | `POST /v1/federation/new` | [`NewFederation`] | [`FederationView`] |
//! | `POST /v1/federation/found` | `{}` | [`FederationView`] |
//! | `POST /v1/invite` | [`InviteRequest`] | [`InviteView`] |
//! | `POST /v1/join` | [`JoinRequest`] | [`JoinView`] |
//! | `POST /v1/adapter/export` | [`ExportRequest`] | [`ExportView`] |
//! | `POST /v1/evaluate` | `{}` | [`Evaluation`] |
//! | `POST /v1/pause`, `/v1/resume`, `/v1/stop` | `{}` | [`Done`] |
//! | `GET /v1/ledger` | | canonical bytes, `application/octet-stream` |
//! | `GET /v1/doctor` | | [`DoctorView`] |

use std::collections::BTreeMap;
use std::path::PathBuf;

use fedshield_protocol::ids::{Digest, Epoch, IdentityKey, MemberIndex, Round};
use fedshield_protocol::manifest::Manifest;
use fedshield_protocol::status::{MemberStatus, Status};
use serde::{Deserialize, Serialize};

pub use crate::error_code::ErrorCode;

/// The paths of the API.
pub mod path {
    /// `GET`: [`NodeStatus`](super::NodeStatus).
    pub const STATUS: &str = "/v1/status";
    /// `GET`: list of [`MemberView`](super::MemberView).
    pub const MEMBERS: &str = "/v1/members";
    /// `GET`: list of [`RoundReport`](super::RoundReport).
    pub const ROUNDS: &str = "/v1/rounds";
    /// `GET`: [`FederationView`](super::FederationView).
    pub const FEDERATION: &str = "/v1/federation";
    /// `POST` [`NewFederation`](super::NewFederation): [`FederationView`](super::FederationView).
    pub const FEDERATION_NEW: &str = "/v1/federation/new";
    /// `POST`: [`FederationView`](super::FederationView), frozen.
    pub const FEDERATION_FOUND: &str = "/v1/federation/found";
    /// `POST` [`InviteRequest`](super::InviteRequest): [`InviteView`](super::InviteView).
    pub const INVITE: &str = "/v1/invite";
    /// `POST` [`JoinRequest`](super::JoinRequest): [`JoinView`](super::JoinView).
    pub const JOIN: &str = "/v1/join";
    /// `POST` [`ExportRequest`](super::ExportRequest): [`ExportView`](super::ExportView).
    pub const ADAPTER_EXPORT: &str = "/v1/adapter/export";
    /// `POST`: [`Evaluation`](super::Evaluation).
    pub const EVALUATE: &str = "/v1/evaluate";
    /// `POST`: take no part in rounds that have not started.
    pub const PAUSE: &str = "/v1/pause";
    /// `POST`: take part again.
    pub const RESUME: &str = "/v1/resume";
    /// `POST`: stop the daemon in an orderly way.
    pub const STOP: &str = "/v1/stop";
    /// `GET`: the ledger's canonical bytes.
    pub const LEDGER: &str = "/v1/ledger";
    /// `GET`: [`DoctorView`](super::DoctorView).
    pub const DOCTOR: &str = "/v1/doctor";
}

/// How far this node is on its way into and through a federation.
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
    /// Multiaddresses that others can dial, with the ports that were really taken.
    pub listen: Vec<String>,
    /// Where metrics and dashboard are served, `127.0.0.1:40123`; `None` if switched off.
    pub http: Option<String>,
    /// How far this node is.
    pub state: NodeState,
    /// The federation or the draft, if any.
    pub federation: Option<FederationSummary>,
    /// The protocol machine's own view, once the federation is founded.
    pub machine: Option<Status>,
    /// The longest-running work at the moment.
    pub progress: Option<Progress>,
    /// The last thing that went wrong and was not repaired by itself, for people. Gone after the next applied round.
    pub last_error: Option<String>,
    /// The last measurement of the common adapter on this member's own held-out data; never leaves the node.
    #[serde(default)]
    pub held_out: Option<HeldOut>,
    /// Members whose misbehaviour was proven since the daemon started, and how; the newest last, at most
    /// [`MAX_MISBEHAVIOUR`].
    #[serde(default)]
    pub misbehaviour: Vec<String>,
}

/// Most entries of [`NodeStatus::misbehaviour`].
pub const MAX_MISBEHAVIOUR: usize = 16;

impl NodeStatus {
    /// A node that knows nothing but itself.
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
            misbehaviour: Vec::new(),
        }
    }
}

/// Mean losses on a fixed sample of this member's held-out data, nats per response token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// The round whose adapter was measured.
    pub round: Round,
    /// With that adapter.
    pub loss: f64,
    /// Of the frozen model, once measured.
    pub base: Option<f64>,
    /// Examples in the sample.
    pub examples: u64,
    /// Response tokens in it.
    pub tokens: u64,
}

/// The word that JSON has for a plain enum value, for instance a phase: one spelling everywhere.
#[must_use]
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

/// The federation in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationSummary {
    /// The federation id; `None` until the manifest is frozen.
    pub id: Option<Digest>,
    /// The random id under which the founders meet.
    pub founding_id: Digest,
    /// The name people see.
    pub name: String,
    /// Which membership list.
    pub epoch: Epoch,
    /// Digest of the manifest in force; `None` until it is frozen.
    pub manifest_digest: Option<Digest>,
    /// Names of the members, in manifest order; of those who have joined so far in a draft.
    pub members: Vec<String>,
    /// This node's position in `members`.
    pub self_index: Option<MemberIndex>,
    /// Rounds that get an adapter before the federation is done.
    pub rounds: u64,
    /// Members whose signature on the manifest is here.
    pub signed: Vec<String>,
}

/// Work in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The word for it: `train`, `prune`, `encode`, `encrypt`, `transfer`, `aggregate`, `decrypt`, `combine`,
    /// `apply`, `load-model`, `evaluate`.
    pub phase: String,
    /// Optimiser steps (or blocks, or chunks) done.
    pub step: u64,
    /// Of how many; 0 if unknown.
    pub steps: u64,
    /// Training loss of the last step, nats per token.
    pub loss: Option<f64>,
    /// Training speed.
    pub tokens_per_second: Option<f64>,
    /// From 0 to 1.
    pub fraction: f64,
}

/// `GET /v1/members`: one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Position in the manifest.
    pub index: MemberIndex,
    /// The name people see.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
    /// Its multiaddresses from the manifest.
    pub addresses: Vec<String>,
    /// This node itself.
    pub is_self: bool,
    /// Its signature on the manifest is here.
    pub signed_manifest: bool,
    /// What the machine knows of it in the current round.
    pub status: Option<MemberStatus>,
}

/// How a round ended, in short.
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

/// `GET /v1/rounds`: one finished round, as this node saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Which round.
    pub round: Round,
    /// How it ended.
    pub outcome: RoundOutcome,
    /// Root of the global adapter afterwards; `None` before the first applied round.
    pub adapter_digest: Option<Digest>,
    /// Names of the members whose updates are in the sum.
    pub contributors: Vec<String>,
    /// Names of the members that added.
    pub committee: Vec<String>,
    /// Bytes this node sent, by phase or purpose: `ciphertext`, `share`, `aggregate`, `partial`, `adapter`, `messages`.
    pub bytes: BTreeMap<String, u64>,
    /// Bytes this node received, by the same words.
    pub bytes_in: BTreeMap<String, u64>,
    /// Seconds of each phase at this node.
    pub seconds: BTreeMap<String, f64>,
    /// Mean training loss of the round's steps; `None` if this node did not train.
    pub train_loss: Option<f64>,
    /// Loss of the adapter afterwards on a fixed sample of this node's held-out data; `None` until it is measured, and
    /// for rounds without a new adapter.
    pub held_out_loss: Option<f64>,
    /// This node's pruned update as f32: the base that traffic is compared with.
    pub update_bytes_f32: u64,
    /// Length of this node's encrypted update with its headers, sent once.
    pub sent_bytes: u64,
}

/// `POST /v1/federation/new`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFederation {
    /// The terms: a manifest without members, epoch 0. Its `founding_id` and `base_model` are replaced by fresh
    /// randomness and by the digest of this node's base model; zeroes will do.
    pub terms: Manifest,
}

/// `GET /v1/federation`: the manifest or the draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationView {
    /// In short.
    pub summary: FederationSummary,
    /// The manifest or draft as TOML.
    pub toml: String,
    /// The same, for programs.
    pub manifest: Manifest,
    /// True once no member can be added any more.
    pub frozen: bool,
    /// True once every founder has signed and this node has stored it.
    pub founded: bool,
}

/// `POST /v1/invite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Seconds until the invite expires; at most 30 days.
    pub expires_s: u64,
}

/// One invite for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteView {
    /// `fs1...`: give it to one organisation over a channel it trusts.
    pub invite: String,
    /// Seconds since 1970 at which it expires.
    pub expires_at_s: u64,
    /// Where the invited look for this node.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Why it may lead nowhere, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// `POST /v1/join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// `fs1...`.
    pub invite: String,
    /// False: only fetch the terms, so that people can read them. True: accept them and join.
    pub accept: bool,
    /// With `accept`: digest of the terms that were read, [`JoinView::terms_digest`]. Joining fails if they have
    /// changed in between. `None` accepts what the owner has now.
    #[serde(default)]
    pub terms_digest: Option<Digest>,
}

/// The terms behind an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinView {
    /// The terms with the members so far.
    pub terms: Manifest,
    /// The terms as TOML.
    pub toml: String,
    /// Digest of the terms without their members.
    pub terms_digest: Digest,
    /// The inviter's name.
    pub owner: String,
    /// True if this node has joined; false after a preview.
    pub joined: bool,
    /// The base model here is the one in the terms.
    pub model_matches: bool,
    /// The base model here.
    pub base_model: Digest,
}

/// `POST /v1/adapter/export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Absolute path of a folder on the daemon's machine; made if missing.
    pub directory: PathBuf,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportView {
    /// Where.
    pub directory: PathBuf,
    /// The files in it.
    pub files: Vec<PathBuf>,
    /// Root of the exported adapter.
    pub adapter_digest: Digest,
    /// After which round.
    pub round: Round,
}

/// `POST /v1/evaluate`: held-out loss at this node, nats per token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Of the frozen model.
    pub base: f64,
    /// Of an adapter trained here alone with the same number of steps, if there is one.
    pub local: Option<f64>,
    /// Of the global adapter; `None` before the first applied round.
    pub federated: Option<f64>,
    /// Held-out examples.
    pub examples: u64,
    /// Held-out response tokens.
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

/// The answer of a command that has nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Done {}

/// `GET /v1/doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorView {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

/// One pre-flight check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: `identity`, `disk`, `clock`, `model`, `data`, `addresses`, `store`.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do, unless all is well.
    pub hint: Option<String>,
}

/// How one check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but should be looked at.
    Warning,
    /// Will not work.
    Failed,
}

/// The body of every failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ApiError,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what happened.
    pub message: String,
    /// For people: what to do next.
    pub hint: Option<String>,
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same error with what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
