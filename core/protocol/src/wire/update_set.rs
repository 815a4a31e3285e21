//! Sets of updates: U, a part of it, or what a report lists.

use crate::hash::Use;
use crate::ids::{CommitmentDigest, MemberIndex, SetDigest};

/// Updates by author and commitment digest, ascending by author, one for each: U, or a part of it.
pub type Set = Vec<(MemberIndex, CommitmentDigest)>;

/// The digest of a set of updates.
#[must_use]
pub fn set_digest(set: &[(MemberIndex, CommitmentDigest)]) -> SetDigest {
    let mut hasher = Use::Set.hasher();
    hasher.update(&(set.len() as u64).to_le_bytes());
    for (member, commitment) in set {
        hasher.update(&member.0.to_le_bytes());
        hasher.update(commitment.as_bytes());
    }
    SetDigest(*hasher.finalize().as_bytes())
}
