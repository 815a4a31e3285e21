//! Evidence of misbehaviour, and bans.

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::wire::evidence::Rule;
use serde::{Deserialize, Serialize};

/// One piece of evidence that this node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// Digest of the proof; the ledger's records refer to it.
    pub digest: Digest,
    /// The member's name; empty for evidence stored by the first version of the program.
    pub member: String,
    /// The round of the misbehaviour; `None` for evidence stored by an earlier version.
    pub round: Option<Round>,
    /// Which rule was broken; `None` for evidence stored by an earlier version: others cannot check
    /// its form.
    pub rule: Option<Rule>,
    /// The rule, in words.
    pub rule_text: String,
    /// What the member did, in words.
    pub reason: String,
    /// When it reached this node, in seconds since 1970 UTC.
    pub kept_unix_s: u64,
    /// Length of the proof in bytes.
    pub bytes: u64,
    /// Whether it bans the member at this node.
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
    /// The last round whose evidence no longer counts.
    pub through: Round,
    /// When, in seconds since 1970 UTC.
    pub at_unix_s: u64,
    /// The user who asked for it, if the system identifies it.
    pub by: Option<String>,
}

/// `POST /v1/evidence/file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequest {
    /// The evidence, see [`EvidenceView::digest`].
    pub digest: Digest,
}

/// `POST /v1/evidence/lift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    /// The member's name.
    pub member: String,
}
