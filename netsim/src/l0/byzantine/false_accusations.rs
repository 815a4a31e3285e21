//! A member that accuses others: with evidence that fails verification, or with the name of an
//! object that others need for another purpose.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedshield_protocol::ids::{MemberIndex, ValueDigest, View};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::evidence::Evidence;
use fedshield_protocol::wire::{Accusation, Body, Decision, Signed, Value, Vote, VoteKind};

use crate::l0::federation::Federation;

/// For each heartbeat: a signed accusation of another member, the name of the object that it points
/// to, and the bytes of that object. Members with an odd index point to an object that they hold,
/// if they hold any; others to invalid evidence.
pub(in crate::l0) fn false_accusation(
    heartbeat: &[u8],
    federation: &Federation,
    held: &BTreeMap<ObjectRef, Arc<[u8]>>,
) -> Option<(Vec<u8>, ObjectRef, Vec<u8>)> {
    let Signed { body: Body::Heartbeat(_), sender, round, .. } = Signed::decode(heartbeat).ok()?
    else {
        return None;
    };
    let members = u64::from(federation.rules().member_count);
    let victim = (u64::from(sender.0) + 1 + round.0 % (members - 1)) % members;
    let victim = MemberIndex(u16::try_from(victim).ok()?);
    let vote = |value: Option<ValueDigest>| {
        let (decision, kind) = (Decision::Set, VoteKind::Precommit);
        let body = Body::Vote(Vote { decision, kind, view: View(0), value });
        // It can sign only with its own key.
        let signature = federation.sign(sender, round, &body)?;
        Some((body, signature))
    };
    let (nil, skip) = (vote(None)?, vote(Some(Value::Skip.id()))?);
    let evidence = Evidence::equivocation(victim, round, nil, skip);
    let other = held.iter().nth(round.0 as usize % held.len().max(1));
    let (object, bytes) = match other.filter(|_| sender.0 % 2 == 1) {
        Some((object, bytes)) => (*object, bytes.to_vec()),
        None => {
            let bytes = evidence.encode().ok()?;
            (ObjectRef::of(&bytes), bytes)
        }
    };
    let body = Body::Accusations(vec![Accusation { member: victim, round, object }]);
    Some((federation.message(sender, round, body)?, object, bytes))
}
