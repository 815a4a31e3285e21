//! Members that gossip does not reach although they are connected: for how many rounds, and when
//! their connections are closed so that they are re-established.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;
use tokio::time::Instant;

use super::ROUNDS_UNTIL_REPORTED;
use crate::key::identity_key_of;
use crate::limits::MAX_RECONNECT_WAIT;

/// Rounds of hellos that a fault lasts before the member is reconnected.
const ROUNDS_UNTIL_RECONNECT: u32 = 4;

/// Faults by member, as of the last round.
#[derive(Debug, Default)]
pub(super) struct GossipFaults {
    by_peer: BTreeMap<PeerId, Fault>,
    /// Rounds in a row in which the mesh was empty although members are connected.
    empty_rounds: u32,
}

#[derive(Debug, Default)]
struct Fault {
    /// Rounds in a row in which it reported that it does not receive our gossip.
    not_receiving: u32,
    /// Rounds in a row in which we did not receive its gossip.
    not_received: u32,
    /// Whether it has reported since the last round that it does not receive our gossip.
    has_reported: bool,
    reconnects: u32,
    /// The earliest time of the next reconnect, by exponential backoff.
    reconnect_after: Option<Instant>,
}

impl GossipFaults {
    /// `peer` reports that it does not receive our gossip.
    pub(super) fn note_not_receiving(&mut self, peer: PeerId) {
        self.by_peer.entry(peer).or_default().has_reported = true;
    }

    /// Notes whether the mesh is empty although members are connected; once in each round.
    pub(super) const fn note_mesh(&mut self, is_empty: bool) {
        self.empty_rounds = if is_empty { self.empty_rounds + 1 } else { 0 };
    }

    /// Counts one round of `interval`, and returns the members to reconnect: those whose fault has
    /// lasted although subscriptions were announced again.
    pub(super) fn round(
        &mut self,
        connected: &BTreeSet<PeerId>,
        received: &BTreeSet<PeerId>,
        interval: Duration,
        now: Instant,
    ) -> Vec<PeerId> {
        self.by_peer.retain(|peer, _| connected.contains(peer));
        let mut reconnect = Vec::new();
        for peer in connected {
            let fault = self.by_peer.entry(*peer).or_default();
            let has_reported = std::mem::take(&mut fault.has_reported);
            fault.not_receiving = if has_reported { fault.not_receiving + 1 } else { 0 };
            fault.not_received = if received.contains(peer) { 0 } else { fault.not_received + 1 };
            let lasts = fault.not_receiving.max(fault.not_received) >= ROUNDS_UNTIL_RECONNECT;
            if lasts && fault.reconnect_after.is_none_or(|at| now >= at) {
                let doubled = 2u32.pow(fault.reconnects.min(10));
                let wait = interval * ROUNDS_UNTIL_RECONNECT * doubled;
                fault.reconnect_after = Some(now + wait.min(MAX_RECONNECT_WAIT));
                fault.reconnects += 1;
                reconnect.push(*peer);
            }
        }
        reconnect
    }

    /// Whether the mesh has been empty for so long that it is reported.
    pub(super) const fn is_mesh_empty(&self) -> bool {
        self.empty_rounds >= ROUNDS_UNTIL_REPORTED
    }

    /// Members that do not receive our gossip, in the order of their keys.
    pub(super) fn not_receiving(&self) -> Vec<IdentityKey> {
        self.persistent(|fault| fault.not_receiving)
    }

    /// Members whose gossip we do not receive, in the order of their keys.
    pub(super) fn not_received(&self) -> Vec<IdentityKey> {
        self.persistent(|fault| fault.not_received)
    }

    fn persistent(&self, rounds: impl Fn(&Fault) -> u32) -> Vec<IdentityKey> {
        let persistent = self.by_peer.iter().filter(|(_, it)| rounds(it) >= ROUNDS_UNTIL_REPORTED);
        let keys: BTreeSet<_> = persistent.filter_map(|(peer, _)| identity_key_of(peer)).collect();
        keys.into_iter().collect()
    }
}
