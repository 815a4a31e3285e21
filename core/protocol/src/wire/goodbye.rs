//! A member's word that it will not take part.

use serde::{Deserialize, Serialize};

use crate::wire::Nonce;

/// Why a member does not take part. The order of the kinds is their encoding: only add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// Its daemon ends.
    Stopped,
    /// An operator paused it.
    Paused,
    /// Its journal lacks what it has said: it sits the round out.
    SitsOut,
    /// It has been catching up, or asking what it said, for long.
    CatchesUp,
}

/// Said when it takes effect, never before. It binds nobody: the sender is awaited again as soon as it says that it is
/// ready, and the same goodbye does not count a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Which life of the sender says it: the nonce of its start.
    pub life: Nonce,
    /// Which goodbye of that life, from 0.
    pub number: u32,
    /// Why.
    pub why: Leave,
}
