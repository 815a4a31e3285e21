//! What a member's votes bind it to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ValueDigest, View};
use crate::wire::{Certificate, VoteKind};

/// What a member must not contradict after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VotingState {
    /// The current view, round_p of the paper.
    pub view: View,
    /// Votes cast in this view and the one before.
    pub cast: BTreeMap<(View, VoteKind), Option<ValueDigest>>,
    /// lockedValue and lockedRound, with the prevotes that locked.
    pub locked: Option<Certificate>,
    /// validValue and validRound, with the prevotes.
    pub valid: Option<Certificate>,
    /// The last view in which this member proposed.
    pub proposed: Option<View>,
}
