//! The content of a commitment.

use serde::{Deserialize, Serialize};

use crate::ids::LayoutDigest;
use crate::object::ObjectRef;

/// The content of a commitment: what a contributor binds itself to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentBody {
    /// The encrypted update.
    pub ciphertext: ObjectRef,
    /// The sealed share (of the key and the masks) of each member, in manifest order; `None` for
    /// members whose sealing key for the round had not arrived when the shares were sealed: they
    /// ask for theirs (see [`Body::Complaint`]).
    ///
    /// [`Body::Complaint`]: super::Body::Complaint
    pub sealed_shares: Vec<Option<ObjectRef>>,
    /// The published part of the key's sharing: a digest for each member's share and the
    /// polynomials of the low-degree test; opaque here, at most
    /// [`MAX_SHARES_BYTES`](crate::limits::MAX_SHARES_BYTES).
    pub shares: Vec<u8>,
    /// What the slots mean: tensors, mask, order.
    pub layout: LayoutDigest,
}
