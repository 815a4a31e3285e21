//! A member that divides the others over the opened sum. It deals bad shares to just so many
//! members that its own partial decryption is needed. They receive a wrong one, so that they cannot
//! open the sum that the others open with its help.

use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{Body, Decision, Signed, VoteKind};

use crate::l0::content::Content;
use crate::l0::federation::Federation;

/// Whether `byzantine` keeps `receiver` from the sum: the last n - q other members, so many that
/// without its own partial decryption there is one too few.
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

/// A wrong partial decryption for the same set; `None` for other contents.
pub(in crate::l0) fn other_answer(content: &Content) -> Option<Content> {
    match content {
        Content::Partial { member, set, .. } => {
            Some(Content::Partial { member: *member, set: set.clone(), correct: false })
        }
        _ => None,
    }
}

/// What the Byzantine member sends in place of `bytes`; `None` if it sends nothing.
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
