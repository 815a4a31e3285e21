//! The control API's JSON: what travels over `<home>/control.sock`. The CLI and the dashboard use
//! these types.
//!
//! HTTP/1.1 over a Unix socket. Bodies are JSON, except the answers of [`path::LEDGER`] and
//! [`path::EVIDENCE_FILE`], which are bytes. Every failure is an [`ErrorBody`] with a status from
//! [`ErrorCode::http_status`]. Fields may be added within `/v1`; none changes its meaning or is
//! removed. Sizes are in bytes, losses in nats per token, digests and keys in lower-case hex.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`NodeStatus`] |
//! | `GET /v1/members` | | `[`[`MemberView`]`]` |
//! | `GET /v1/rounds` | | `[`[`RoundReport`]`]`, oldest first |
//! | `GET /v1/federation` | | [`FederationView`] |
//! | `POST /v1/federation/new` | [`NewFederation`] | [`FederationView`] |
//! | `POST /v1/federation/found` | [`FoundRequest`] | [`FederationView`] |
//! | `POST /v1/federation/confirm` | [`ConfirmRequest`] | [`FederationView`] |
//! | `POST /v1/federation/leave` | [`LeaveRequest`] | [`LeftView`] |
//! | `POST /v1/federation/abandon` | `{}` | [`LeftView`] |
//! | `POST /v1/federation/drop` | [`DropRequest`] | [`FederationView`] |
//! | `POST /v1/invite` | [`InviteRequest`] | [`InviteView`] |
//! | `POST /v1/join` | [`JoinRequest`] | [`JoinView`] |
//! | `POST /v1/peer/add`, `/v1/peer/remove` | [`PeerRequest`] | [`PeerAddresses`] |
//! | `POST /v1/adapter/export` | [`ExportRequest`] | [`ExportView`] |
//! | `POST /v1/evaluate` | [`EvaluateRequest`] | [`Evaluation`] |
//! | `POST /v1/pause` | `{}` | [`Pause`] |
//! | `POST /v1/resume`, `/v1/stop` | `{}` | [`Done`] |
//! | `GET /v1/ledger` | | canonical bytes, `application/octet-stream` |
//! | `GET /v1/doctor` | | [`DoctorView`] |
//! | `GET /v1/evidence` | | `[`[`EvidenceView`]`]`, in the order in which it arrived |
//! | `POST /v1/evidence/file` | [`EvidenceRequest`] | a file of evidence, `application/octet-stream` |
//! | `POST /v1/evidence/lift` | [`LiftRequest`] | [`LiftView`] |

mod adapter;
mod attendance;
mod condition;
mod doctor;
mod evidence;
mod federation;
mod peers;
mod rounds;
mod status;

use serde::{Deserialize, Serialize};

pub use crate::error_code::ErrorCode;
pub use fedshield_train::{AnswerScore, PairedDifference};

pub use crate::jobs::AdapterKind;
pub use crate::learning::MeasuredOn;
pub use adapter::{
    AdapterLoss, AtHome, AtHomeState, Comparison, EvaluateRequest, Evaluation, ExportRequest,
    ExportView, MOST_SAMPLES, OnSample, Sample, WhichAdapter, WhichRound,
};
pub use attendance::{Absent, Pause, Waiting};
pub use condition::{Condition, Severity};
pub use doctor::{Check, DoctorView, Verdict};
pub use evidence::{EvidenceRequest, EvidenceView, LiftRequest, LiftView};
pub use federation::{
    ConfirmRequest, DataSummary, DropRequest, ExpectedMember, FederationSummary, FederationView,
    FoundRequest, InviteRequest, InviteView, JoinRequest, JoinView, LeaveRequest, LeftView,
    Listing, MemberView, NewFederation,
};
pub use peers::{
    AddressOrigin, ConnectionView, KnownAddressView, MemberTransport, PeerAddresses, PeerRequest,
    TransportKind,
};
pub use rounds::{MeanLoss, RoundOutcome, RoundReport};
pub use status::{HeldOut, MAX_MISBEHAVIOUR, NodeState, NodeStatus, WorkProgress};

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
    /// `POST` [`FoundRequest`](super::FoundRequest): [`FederationView`](super::FederationView), frozen.
    pub const FEDERATION_FOUND: &str = "/v1/federation/found";
    /// `POST` [`ConfirmRequest`](super::ConfirmRequest): [`FederationView`](super::FederationView).
    pub const FEDERATION_CONFIRM: &str = "/v1/federation/confirm";
    /// `POST`: [`LeftView`](super::LeftView); this node is no founder, or no member, any more.
    pub const FEDERATION_LEAVE: &str = "/v1/federation/leave";
    /// `POST` [`DropRequest`](super::DropRequest): [`FederationView`](super::FederationView) without that member.
    pub const FEDERATION_DROP: &str = "/v1/federation/drop";
    /// `POST`: [`LeftView`](super::LeftView); the draft is given up.
    pub const FEDERATION_ABANDON: &str = "/v1/federation/abandon";
    /// `POST` [`InviteRequest`](super::InviteRequest): [`InviteView`](super::InviteView).
    pub const INVITE: &str = "/v1/invite";
    /// `POST` [`JoinRequest`](super::JoinRequest): [`JoinView`](super::JoinView).
    pub const JOIN: &str = "/v1/join";
    /// `POST` [`PeerRequest`](super::PeerRequest): [`PeerAddresses`](super::PeerAddresses).
    pub const PEER_ADD: &str = "/v1/peer/add";
    /// `POST` [`PeerRequest`](super::PeerRequest): [`PeerAddresses`](super::PeerAddresses).
    pub const PEER_REMOVE: &str = "/v1/peer/remove";
    /// `POST` [`ExportRequest`](super::ExportRequest): [`ExportView`](super::ExportView).
    pub const ADAPTER_EXPORT: &str = "/v1/adapter/export";
    /// `POST` [`EvaluateRequest`](super::EvaluateRequest): [`Evaluation`](super::Evaluation).
    pub const EVALUATE: &str = "/v1/evaluate";
    /// `POST`: take no part in rounds that have not started, until resumed: [`Pause`](super::Pause).
    pub const PAUSE: &str = "/v1/pause";
    /// `POST`: take part again.
    pub const RESUME: &str = "/v1/resume";
    /// `POST`: stop the daemon in an orderly way.
    pub const STOP: &str = "/v1/stop";
    /// `GET`: the ledger's canonical bytes.
    pub const LEDGER: &str = "/v1/ledger";
    /// `GET`: [`DoctorView`](super::DoctorView).
    pub const DOCTOR: &str = "/v1/doctor";
    /// `GET`: list of [`EvidenceView`](super::EvidenceView).
    pub const EVIDENCE: &str = "/v1/evidence";
    /// `POST` [`EvidenceRequest`](super::EvidenceRequest): a file of evidence.
    pub const EVIDENCE_FILE: &str = "/v1/evidence/file";
    /// `POST` [`LiftRequest`](super::LiftRequest): [`LiftView`](super::LiftView).
    pub const EVIDENCE_LIFT: &str = "/v1/evidence/lift";
}

/// The JSON name of a plain enum value, for instance of a phase: one spelling everywhere.
#[must_use]
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

/// The answer of a command that returns no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Done {}

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
    /// For the operator: what happened.
    pub message: String,
    /// For the operator: what to do next.
    pub hint: Option<String>,
}

impl ApiError {
    /// An error with the default hint of its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: Some(code.hint().to_owned()) }
    }

    /// The same error with a hint for this particular cause.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
