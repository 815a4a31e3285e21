//! A member that divides the others over the opened sum. Its bad shares keep just so many from answering that its own answer
//! is needed; those get another answer of it, so that they cannot open the sum that the others open with its help.

use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{Body, Decision, Signed, VoteKind};

use crate::l0::content::Content;
use crate::l0::federation::Federation;

/// Whether `receiver` is one of those that `byzantine` keeps from the sum: so many that without its own answer there is
/// one too few, and the last ones.
pub(in crate::l0) fn is_victim(
    byzantine: MemberIndex,
    receiver: MemberIndex,
    member_count: u16,
) -> bool {
    let faulty = (member_count - 1) / 3;
    let victims = member_count - ((member_count + faulty) / 2 + 1);
    let after = (receiver.0 + 1..member_count).filter(|m| *m != byzantine.0).count();
    receiver != byzantine && after < usize::from(victims)
}

/// The other answer to the same question.
pub(in crate::l0) fn other_answer(content: &Content) -> Option<Content> {
    match content {
        Content::Partial { member, set, .. } => {
            Some(Content::Partial { member: *member, set: set.clone(), correct: false })
        }
        _ => None,
    }
}

/// What the byzantine member sends instead of `bytes`; `None` if that is nothing.
pub(in crate::l0) fn outgoing(
    bytes: &[u8],
    (byzantine, to): (MemberIndex, MemberIndex),
    federation: &Federation,
    other: impl Fn(&ObjectRef) -> Option<ObjectRef>,
) -> Option<Vec<u8>> {
    let Ok(signed) = Signed::decode(bytes) else { return Some(bytes.to_vec()) };
    if signed.sender != byzantine {
        return Some(bytes.to_vec());
    }
    let victim = is_victim(byzantine, to, federation.rules().member_count);
    match signed.body {
        Body::Vote(vote)
            if vote.decision == Decision::Outcome && vote.kind == VoteKind::Precommit =>
        {
            None
        }
        Body::Decided(decided) if decided.value.decision() == Decision::Outcome => None,
        Body::RecordSignature(_) | Body::Records(_) => None,
        Body::Partial { set, object } if victim => {
            let body = Body::Partial { set, object: other(&object)? };
            federation.message(signed.sender, signed.round, body)
        }
        _ => Some(bytes.to_vec()),
    }
}
