//! A member that repeats what others have signed: whenever it hears a heartbeat it says the oldest one of the same member and
//! round again, and that member's word that it takes part, to everyone, right behind the new one.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::message::{Body, Signed};

use super::faults::Fault;
use super::world::World;

/// What it has heard first, of this round and the one before.
#[derive(Debug, Default)]
pub(crate) struct Recorded(BTreeMap<(Round, MemberIndex, &'static str), Vec<u8>>);

impl Recorded {
    /// What it repeats on hearing `bytes`.
    fn hear(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let Ok(signed) = Signed::decode(bytes) else { return Vec::new() };
        let (round, sender, kind) = (signed.round, signed.sender, signed.body.kind());
        match signed.body {
            Body::Status(_) => {}
            Body::Ready | Body::Goodbye(_) | Body::Doubt(_) | Body::Want(_) | Body::Knock => {
                self.0.entry((round, sender, kind)).or_insert_with(|| bytes.to_vec());
                return Vec::new();
            }
            _ => return Vec::new(),
        }
        self.0.retain(|(of, ..), _| of.next() >= round);
        let first = self.0.entry((round, sender, kind)).or_insert_with(|| bytes.to_vec());
        if first == bytes {
            return Vec::new();
        }
        let of_sender = self.0.iter().filter(|((_, by, _), _)| *by == sender);
        of_sender.map(|(_, bytes)| bytes.clone()).collect()
    }
}

impl World {
    /// A node has been handed `bytes`.
    pub(super) fn replay(&mut self, index: usize, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.fault != Some(Fault::Replays) || node.machine.is_none() {
            return;
        }
        for old in node.recorded.hear(bytes) {
            self.gossip(index, &old);
        }
    }
}
