//! The announcement of evidence against a member; the evidence itself is an object.

use serde::{Deserialize, Serialize};

use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_EVIDENCE_BYTES;
use crate::object::ObjectRef;

/// The sender has checked [`Evidence`](crate::wire::evidence::Evidence) against `member`, and gives
/// it to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Accusation {
    /// The accused member.
    pub member: MemberIndex,
    /// The round in which it misbehaved.
    pub round: Round,
    /// The evidence, in its canonical bytes.
    pub object: ObjectRef,
}

/// Whether a list names each member once at most, and proofs of a possible length.
pub(super) fn is_list(list: &[Accusation], member_count: u16) -> bool {
    let possible = |it: &Accusation| {
        it.member.0 < member_count && (1..=MAX_EVIDENCE_BYTES as u64).contains(&it.object.length)
    };
    list.is_sorted_by(|a, b| a.member < b.member) && list.iter().all(possible)
}
