//! Absent members, an operator's pause, and what the round waits for.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::wire::Leave;
use serde::{Deserialize, Serialize};

/// An operator's pause: the answer of `POST /v1/pause`, and part of the status until `POST
/// /v1/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When it began, in seconds since 1970 UTC.
    pub since_unix_s: u64,
    /// The user who asked for it, as the operating system identifies the peer of the control
    /// socket.
    #[serde(default)]
    pub by: Option<String>,
    /// The last round in which the node still takes part, because it is bound by its statements;
    /// `None` once that round is over.
    #[serde(default)]
    pub after_round: Option<Round>,
}

/// A member that is absent at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Its index in the manifest.
    pub member: MemberIndex,
    /// The reason it gave in its goodbye; `None` if no message has arrived from it.
    #[serde(default)]
    pub why: Option<Leave>,
    /// When this node noticed, in seconds since 1970 UTC.
    pub since_unix_s: u64,
}

/// What the round waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// For the operator: `3 of 4 are enough`, `no quorum: 2 of 3 needed`.
    pub text: String,
    /// The deadline of the wait, in seconds since 1970 UTC; `None`: there is none.
    #[serde(default)]
    pub until_unix_s: Option<u64>,
    /// Whether the members that are present are enough to open a sum. If not, the length of the
    /// wait is unknown.
    pub can_go_on: bool,
}
