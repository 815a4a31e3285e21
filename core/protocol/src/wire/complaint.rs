//! What a member says that has no valid share in an update.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// The sender's share in a commitment does not open, or fails the test, or it got no box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// The dealer's commitment.
    pub commitment: Digest,
    /// The sender's sealing key for this round: the newest, should it have had another one.
    pub sealing_key: Vec<u8>,
    /// What the dealer is asked for.
    pub plea: Plea,
}

/// What a dealer is asked for. The order is the encoding: only add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plea {
    /// A box, sealed to the complaint's key. To the dealer only.
    Seal,
    /// The same, because the dealer has not answered. To everyone; whoever hears it hands it on to the dealer.
    SealInPublic,
    /// The share in clear, because a box that was sealed again does not open. To everyone, handed on as well.
    Show,
}
