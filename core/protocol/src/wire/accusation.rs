//! That there is proof against a member, and where: the proof itself is an object.

use serde::{Deserialize, Serialize};

use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_EVIDENCE_BYTES;
use crate::object::ObjectRef;

/// The sender has checked [`Evidence`](crate::wire::evidence::Evidence) against `member`, and gives it to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Accusation {
    /// Who is accused.
    pub member: MemberIndex,
    /// Of something in which round.
    pub round: Round,
    /// The proof's canonical bytes.
    pub object: ObjectRef,
}

/// Whether a list names each member once at most, and proofs of a possible length.
pub(super) fn is_list(list: &[Accusation], member_count: u16) -> bool {
    let possible = |it: &Accusation| {
        it.member.0 < member_count && (1..=MAX_EVIDENCE_BYTES as u64).contains(&it.object.length)
    };
    list.is_sorted_by(|a, b| a.member < b.member) && list.iter().all(possible)
}
