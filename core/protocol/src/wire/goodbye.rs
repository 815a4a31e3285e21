//! The announcement that a member takes no part in the round.

use serde::{Deserialize, Serialize};

use crate::wire::Nonce;

/// Why a member does not take part. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// Its daemon stops.
    Stopped,
    /// An operator paused it.
    Paused,
    /// Its journal lacks statements that it has made in the round.
    SitsOut,
    /// It has been recovering or catching up for a minute or more.
    CatchesUp,
}

/// Sent when it takes effect, never before. It binds nobody: others wait for the sender again as
/// soon as it announces that it is ready, and the same goodbye does not count a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// The sender's incarnation: the nonce of its start.
    pub incarnation: Nonce,
    /// Number of the goodbye in that incarnation, from 0.
    pub number: u32,
    /// The reason.
    pub why: Leave,
}
