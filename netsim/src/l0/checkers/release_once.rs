//! A member releases one partial decryption per round, for one set.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{MemberIndex, Round, SetDigest};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::journal::Note;

use super::Fact;
use crate::l0::node::Node;

#[derive(Default)]
pub(super) struct ReleaseOnce(BTreeMap<(MemberIndex, Round), (SetDigest, ObjectRef)>);

impl ReleaseOnce {
    pub(super) fn observe(&mut self, node: &Node, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Noted(entry) = fact else { return Ok(()) };
        let Note::Released { set, object } = &entry.note else { return Ok(()) };
        let first = self.0.entry((node.member, entry.round)).or_insert((*set, *object));
        match *first == (*set, *object) {
            true => Ok(()),
            false => Err(format!("round {}: a second release", entry.round)),
        }
    }
}
