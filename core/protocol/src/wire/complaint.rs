//! What a member asks for that has no valid share of an update.

use serde::{Deserialize, Serialize};

use crate::ids::CommitmentDigest;

/// The sender's sealed share is missing, does not open, or is not the one that the commitment
/// binds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// The contributor's commitment.
    pub commitment: CommitmentDigest,
    /// The sender's sealing key for this round: the newest, should it have had another one.
    pub sealing_key: Vec<u8>,
    /// What the contributor is asked for.
    pub remedy: Remedy,
}

/// What a contributor is asked for. The order is the encoding: only add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remedy {
    /// The share, sealed to the complaint's key. Sent to the contributor only.
    Reseal,
    /// The same, because the contributor has not answered. Sent to all, who forward it to the
    /// contributor.
    ResealInPublic,
    /// The share in the clear, because a resealed share does not open. Sent to all and forwarded as
    /// well.
    Open,
}
