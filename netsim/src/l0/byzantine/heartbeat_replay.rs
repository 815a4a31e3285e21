//! A member that replays what others have signed. Of each sender and round it keeps the newest
//! heartbeat that is not ready, else the first one, and the first `Ready`, `RecoveryRequest`,
//! `GetCommitments` and `Ping`. Up to ten times a second it sends them to everyone, so that they
//! arrive before and after every newer one.

use std::collections::BTreeMap;

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::wire::{Body, Signed};

use crate::l0::faults::Fault;
use crate::l0::world::World;

/// Shortest time between two repetitions.
const PAUSE_MS: u64 = 100;

/// The messages that it has received, of this round and the one before.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    recorded: BTreeMap<(Round, MemberIndex, &'static str), Vec<u8>>,
    /// When it last replayed them.
    last_ms: u64,
}

impl Recorded {
    fn record(&mut self, bytes: &[u8]) {
        let Ok(signed) = Signed::decode(bytes) else { return };
        let place = (signed.round, signed.sender, signed.body.kind());
        match signed.body {
            Body::Heartbeat(heartbeat) => {
                self.recorded.retain(|(of, ..), _| of.next() >= signed.round);
                if !heartbeat.ready {
                    self.recorded.insert(place, bytes.to_vec());
                }
            }
            Body::Ready | Body::RecoveryRequest(_) | Body::GetCommitments(_) | Body::Ping => {}
            _ => return,
        }
        self.recorded.entry(place).or_insert_with(|| bytes.to_vec());
    }
}

impl World {
    /// Records `bytes`, which the node has received, and replays what it holds if that is due.
    pub(in crate::l0) fn replay(&mut self, index: usize, bytes: &[u8]) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.fault != Some(Fault::ReplaysHeartbeats) || node.machine.is_none() {
            return;
        }
        node.recorded.record(bytes);
        if now < node.recorded.last_ms + PAUSE_MS {
            return;
        }
        node.recorded.last_ms = now;
        let again: Vec<Vec<u8>> = node.recorded.recorded.values().cloned().collect();
        for old in again {
            self.gossip(index, &old.into());
        }
    }
}
