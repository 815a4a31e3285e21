//! A member that sends every second receiver a conflicting vote, properly signed.

use fedshield_protocol::wire::{Body, Signed, Value};

use crate::l0::federation::Federation;

/// The conflicting vote for another value, signed; `None` for messages that are not votes.
pub(in crate::l0) fn conflicting_vote(bytes: &[u8], federation: &Federation) -> Option<Vec<u8>> {
    let signed = Signed::decode(bytes).ok()?;
    let Body::Vote(mut vote) = signed.body else { return None };
    vote.value = match vote.value {
        Some(_) => None,
        None => Some(Value::Skip.id()),
    };
    federation.message(signed.sender, signed.round, Body::Vote(vote))
}
