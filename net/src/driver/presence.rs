//! Hellos over every connection and what follows from them: dead connections are closed, lost
//! gossip subscriptions are announced again, and problems are reported as [`NetHealth`].

mod gossip_faults;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Driver;
use crate::admission::AdmissionControl;
use crate::event::NetEvent;
use crate::gossip;
use crate::health::NetHealth;
use crate::key::identity_key_of;
use crate::limits::{HELLO_RATE, MAX_MEMBERS};
use crate::presence::{Hello, Outcome, PresenceEvent, SharedInstances};
use crate::rate::TokenBuckets;

use gossip_faults::GossipFaults;

/// Rounds of hellos that a fault of gossip lasts before it is reported.
const ROUNDS_UNTIL_REPORTED: u32 = 2;
/// Refused connections from one origin within a minute that are worth reporting; health checks of a
/// load balancer make fewer.
const FLOOD: u64 = 16;

/// What hellos and gossip have shown about the members.
pub(crate) struct PresenceMonitor {
    instances: SharedInstances,
    health: watch::Sender<NetHealth>,
    admission: AdmissionControl,
    interval: Duration,
    next_round: Instant,
    /// When the last announcement or subscription of a peer was received.
    last_gossip: HashMap<PeerId, Instant>,
    faults: GossipFaults,
    hello_rate: TokenBuckets<PeerId>,
    refused_at: Option<Instant>,
    exhausted_at: Option<Instant>,
    max_connections: u32,
}

impl PresenceMonitor {
    /// `interval`: between two rounds of hellos.
    pub(crate) fn new(
        instances: SharedInstances,
        health: watch::Sender<NetHealth>,
        admission: AdmissionControl,
        interval: Duration,
        max_connections: u32,
    ) -> Self {
        Self {
            instances,
            health,
            admission,
            interval,
            next_round: Instant::now() + interval,
            last_gossip: HashMap::new(),
            faults: GossipFaults::default(),
            hello_rate: TokenBuckets::new(HELLO_RATE, MAX_MEMBERS),
            refused_at: None,
            exhausted_at: None,
            max_connections,
        }
    }

    pub(super) const fn next_round(&self) -> Instant {
        self.next_round
    }

    /// An announcement or subscription of `peer` was received.
    pub(super) fn note_gossip(&mut self, peer: PeerId) {
        self.last_gossip.insert(peer, Instant::now());
        if let Some(key) = identity_key_of(&peer) {
            self.instances.lock().note_gossip(key);
        }
    }

    /// A connection was refused because the limit of open ones is reached.
    pub(super) fn note_refused(&mut self) {
        self.refused_at = Some(Instant::now());
    }

    /// The system had no file descriptor left.
    pub(super) fn note_exhausted(&mut self) {
        self.exhausted_at = Some(Instant::now());
    }

    pub(super) fn retain_members(&mut self, members: &[IdentityKey]) {
        self.instances.lock().retain_members(members);
    }

    /// Whether `at` is at most four rounds ago.
    fn is_recent(&self, at: Option<Instant>, now: Instant) -> bool {
        at.is_some_and(|at| now.saturating_duration_since(at) < 4 * self.interval)
    }
}

impl Driver {
    /// A member has one more connection, so its older ones may be dead: a hello is sent over all of
    /// them, and those that do not answer while another one does are closed. The older one is never
    /// closed as such: two nodes that dial each other at the same moment would each close the one
    /// that the other keeps.
    pub(super) fn send_hello_over_all(&mut self, peer: PeerId) {
        let now = Instant::now();
        for connection in self.connections.of(&peer) {
            self.member_protocols().presence.send_hello(peer, connection, now);
        }
    }

    pub(super) fn on_presence(&mut self, event: PresenceEvent) {
        let PresenceEvent { peer, connection, outcome } = event;
        match outcome {
            Outcome::Received(hello) => {
                if self.parts.presence.hello_rate.take(peer, Instant::now()) {
                    self.on_hello(peer, connection, &hello, None);
                } else {
                    self.parts.counters.dropped();
                }
            }
            Outcome::Answered(hello, sent_at) => {
                self.connections.note_answer(connection, Instant::now());
                self.on_hello(peer, connection, &hello, Some(sent_at));
            }
            Outcome::Unsupported => self.connections.note_answer(connection, Instant::now()),
            Outcome::TimedOut(sent_at) => {
                // Only suspects: a connection that is busy with objects on a slow line may answer
                // late, and a member's only connection is left to the pings.
                if !self.connections.is_suspect(connection) {
                    return;
                }
                if self.connections.other_answered_since(&peer, connection, sent_at) {
                    tracing::info!(%peer, "an old connection is dead; another one is alive");
                    self.close(connection);
                } else {
                    self.send_hello_over_all(peer);
                }
            }
        }
    }

    fn on_hello(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        hello: &Hello,
        sent_at: Option<Instant>,
    ) {
        let is_member = self.connections.is_member(connection);
        let Some(key) = identity_key_of(&peer).filter(|_| is_member) else { return };
        let (now, presence) = (Instant::now(), &mut self.parts.presence);
        let is_news = presence.instances.lock().on_hello(connection, key, hello, sent_at, now);
        if is_news {
            // News about duplicate instances is forwarded soon, not only in the next round.
            presence.next_round = presence.next_round.min(now + presence.interval / 8);
            self.publish_health(now);
        }
        if hello.subscribes && self.topic.is_some() && !hello.receives_from_you {
            self.parts.presence.faults.note_not_receiving(peer);
            self.announce_subscriptions(&peer);
        }
    }

    /// Announces our gossip subscriptions to `peer` again, if it is connected.
    pub(super) fn announce_subscriptions(&mut self, peer: &PeerId) {
        if let Some((id, connection)) = self.connections.any_of(peer) {
            let endpoint = connection.endpoint.clone();
            let gossip = &mut self.member_protocols().gossip;
            gossip::announce_subscriptions(gossip, *peer, id, &endpoint);
        }
    }

    /// A process of a member is gone while another one is connected: what the first one was sent is
    /// lost, and the second one has no state of it. The daemon sees a disconnect and a connect.
    pub(super) fn report_restart(&mut self, peer: &PeerId, closed: ConnectionId) {
        let restarted = {
            let instances = self.parts.presence.instances.lock();
            let gone = instances.instance_at(closed);
            let others = self.connections.of(peer);
            let left: Vec<_> = others.iter().filter_map(|id| instances.instance_at(*id)).collect();
            gone.is_some_and(|gone| !left.is_empty() && !left.contains(&gone))
        };
        if let (true, Some(key)) = (restarted, identity_key_of(peer)) {
            self.push_event(NetEvent::PeerDown(key));
            self.push_event(NetEvent::PeerUp(key));
        }
    }

    pub(super) fn on_presence_closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        self.parts.presence.instances.lock().closed(connection);
        if self.connections.of(peer).is_empty() {
            self.parts.presence.last_gossip.remove(peer);
        }
    }

    /// Once every interval: checks gossip, and sends a hello over every connection of a member.
    pub(super) fn presence_round(&mut self, now: Instant) {
        if now < self.parts.presence.next_round {
            return;
        }
        self.parts.presence.next_round = now + self.parts.presence.interval;
        self.check_gossip(now);
        for (peer, connection) in self.connections.all_members() {
            self.member_protocols().presence.send_hello(peer, connection, now);
        }
        self.publish_health(now);
    }

    /// Finds out from whom gossip is received: from those whose subscription we have and whose last
    /// announcement or subscription is recent. Every node announces its subscriptions in each
    /// round, so there is always something to receive.
    fn check_gossip(&mut self, now: Instant) {
        let connected: BTreeSet<PeerId> =
            self.connections.all_members().into_iter().map(|(peer, _)| peer).collect();
        let Some(topic) = self.topic.as_ref().map(|topic| topic.hash()) else {
            self.parts.presence.instances.lock().set_gossip(false, BTreeSet::new());
            return;
        };
        for peer in &connected {
            self.announce_subscriptions(peer);
        }
        let gossip = &self.parts.swarm.behaviour_mut().members.inner().gossip;
        let is_mesh_empty = gossip.mesh_peers(&topic).next().is_none();
        let subscribed: BTreeSet<PeerId> = gossip
            .all_peers()
            .filter(|(_, topics)| topics.contains(&&topic))
            .map(|(peer, _)| *peer)
            .collect();
        let presence = &self.parts.presence;
        let timeout = ROUNDS_UNTIL_REPORTED * presence.interval;
        let repeats_subscriptions = |peer: &PeerId| {
            let instances = presence.instances.lock();
            self.connections.of(peer).iter().any(|id| instances.instance_at(*id).is_some())
        };
        let is_received = |peer: &PeerId| {
            let recent = |at: &Instant| now.saturating_duration_since(*at) < timeout;
            // An older version subscribes once and may have nothing to announce for a long time.
            subscribed.contains(peer)
                && (!repeats_subscriptions(peer)
                    || presence.last_gossip.get(peer).is_some_and(recent))
        };
        let received: BTreeSet<PeerId> =
            connected.iter().filter(|it| is_received(it)).copied().collect();
        let keys = received.iter().filter_map(identity_key_of).collect();
        presence.instances.lock().set_gossip(true, keys);
        let presence = &mut self.parts.presence;
        presence.faults.note_mesh(is_mesh_empty && !connected.is_empty());
        for peer in presence.faults.round(&connected, &received, presence.interval, now) {
            tracing::warn!(%peer, "connected, but announcements do not pass: reconnecting");
            for connection in self.connections.of(&peer) {
                self.close(connection);
            }
        }
    }

    fn publish_health(&self, now: Instant) {
        let presence = &self.parts.presence;
        let (has_duplicate, duplicated) = {
            let instances = presence.instances.lock();
            (instances.has_duplicate(now), instances.duplicated(now).into_iter().collect())
        };
        let refused_at = presence.refused_at.max(presence.admission.last_refusal());
        let health = NetHealth {
            has_duplicate,
            duplicated,
            is_mesh_empty: presence.faults.is_mesh_empty(),
            not_receiving: presence.faults.not_receiving(),
            not_received: presence.faults.not_received(),
            refuses_connections: presence.is_recent(refused_at, now),
            refused_origins: presence.admission.refused(FLOOD, now),
            slow_readers: self.outbound.overflowing(2 * presence.interval, now),
            max_connections: presence.max_connections,
            out_of_descriptors: presence.is_recent(presence.exhausted_at, now),
        };
        presence.health.send_if_modified(|shown| {
            let changed = *shown != health;
            *shown = health;
            changed
        });
    }
}
