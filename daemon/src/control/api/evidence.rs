//! Evidence of misbehaviour, and bans.

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::wire::evidence::Rule;
use serde::{Deserialize, Serialize};

/// Something that was proven to this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// Names the proof; the ledger's records name it too.
    pub digest: Digest,
    /// The member's name; empty if the first version of the program has kept the evidence.
    pub member: String,
    /// In which round; `None` for what an earlier version has kept.
    pub round: Option<Round>,
    /// Which rule was broken; `None` for what an earlier version has kept: its form cannot be checked by others.
    pub rule: Option<Rule>,
    /// The rule, in words.
    pub rule_text: String,
    /// What the member did, in words.
    pub reason: String,
    /// When it came to this node, in seconds since 1970 UTC.
    pub kept_unix_s: u64,
    /// Length of the proof in bytes.
    pub bytes: u64,
    /// It bans the member at this node.
    pub bans: bool,
    /// When its ban was lifted here, in seconds since 1970 UTC, and by whom.
    #[serde(default)]
    pub lifted: Option<LiftView>,
}

/// A ban that was lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiftView {
    /// The member's name.
    pub member: String,
    /// The last round whose evidence does not count any more.
    pub through: Round,
    /// When, in seconds since 1970 UTC.
    pub at_unix_s: u64,
    /// Which user asked for it, if the system tells.
    pub by: Option<String>,
}

/// `POST /v1/evidence/file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequest {
    /// Which, see [`EvidenceView::digest`].
    pub digest: Digest,
}

/// `POST /v1/evidence/lift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    /// The member's name.
    pub member: String,
}
