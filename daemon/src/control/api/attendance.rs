//! Who is away, who paused this node, and what the round waits for.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::wire::Leave;
use serde::{Deserialize, Serialize};

/// An operator's pause: the answer of `POST /v1/pause`, and part of the status until `POST /v1/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when, in seconds since 1970 UTC.
    pub since_unix_s: u64,
    /// The user who asked for it, as the operating system knows the other end of the control socket.
    #[serde(default)]
    pub by: Option<String>,
    /// It takes effect after this round, in which the node is bound by what it has said; `None` once it has.
    #[serde(default)]
    pub after_round: Option<Round>,
}

/// A member that cannot be counted on at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Who.
    pub member: MemberIndex,
    /// Why, if it said so; otherwise nothing has been heard of it.
    #[serde(default)]
    pub why: Option<Leave>,
    /// Since when this node has known it, in seconds since 1970 UTC.
    pub since_unix_s: u64,
}

/// What the round waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// For the operator: `3 of 4 are enough`, `no quorum: 2 of 3 needed`.
    pub text: String,
    /// When it waits no longer, in seconds since 1970 UTC; `None`: as long as it takes.
    #[serde(default)]
    pub until_unix_s: Option<u64>,
    /// Whether the round can come to a sum with the members that are here. If not, nobody knows how long it takes.
    pub can_go_on: bool,
}
