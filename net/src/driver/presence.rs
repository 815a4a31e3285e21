//! Hellos over every connection, and what follows: dead connections are closed, subscriptions are said again where they
//! were lost, and what a person should know is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Driver;
use super::connections::Links;
use crate::admission::Door;
use crate::event::NetEvent;
use crate::health::NetHealth;
use crate::key::identity_key_of;
use crate::limits::{HELLO_RATE, MAX_MEMBERS, MAX_REMAKE_WAIT};
use crate::presence::{Hello, Outcome, PresenceEvent, SharedCopies};
use crate::rate::Buckets;

/// Rounds of hellos that a fault of gossip may last before people are told; three later the connection is made anew.
const ROUNDS_TILL_TOLD: u32 = 2;
const ROUNDS_TILL_REMADE: u32 = 4;
/// Connections from one address, refused within a minute, that are worth telling: a health check of a balancer is not.
const FLOOD: u64 = 16;

/// What is known of gossip's ways, beside the connections.
pub(super) struct Watch {
    copies: SharedCopies,
    health: watch::Sender<NetHealth>,
    interval: Duration,
    next_round: Instant,
    /// When the last announcement or subscription of a peer came.
    heard: HashMap<PeerId, Instant>,
    /// Peers that do not hear us, or that we do not hear, as of the last round.
    faults: BTreeMap<PeerId, Fault>,
    /// Rounds for which nobody was in the mesh although somebody is connected.
    empty_rounds: u32,
    refused_at: Option<Instant>,
    door: Door,
    hello_rate: Buckets<PeerId>,
    exhausted_at: Option<Instant>,
    max_connections: u32,
}

#[derive(Debug, Default)]
struct Fault {
    /// Rounds in a row in which it said that it does not hear us.
    deaf: u32,
    /// Rounds in a row in which we did not hear it.
    mute: u32,
    /// The next time that its connections may be closed for this; later each time.
    remake_after: Option<Instant>,
    remade: u32,
    /// It has said so since the last round.
    said_deaf: bool,
}

impl Watch {
    pub(super) fn new(
        copies: SharedCopies,
        health: watch::Sender<NetHealth>,
        door: Door,
        interval: Duration,
        max_connections: u32,
    ) -> Self {
        Self {
            copies,
            health,
            interval,
            next_round: Instant::now() + interval,
            heard: HashMap::new(),
            faults: BTreeMap::new(),
            empty_rounds: 0,
            refused_at: None,
            door,
            hello_rate: Buckets::new(HELLO_RATE, MAX_MEMBERS),
            exhausted_at: None,
            max_connections,
        }
    }

    pub(super) const fn next_round(&self) -> Instant {
        self.next_round
    }

    /// Something came from `peer` by gossip.
    pub(super) fn heard(&mut self, peer: PeerId) {
        self.heard.insert(peer, Instant::now());
        if let Some(key) = identity_key_of(&peer) {
            self.copies.lock().hear(key);
        }
    }

    /// A connection was refused because as many are open as may be.
    pub(super) fn refused(&mut self) {
        self.refused_at = Some(Instant::now());
    }

    /// The system had no descriptor left.
    pub(super) fn exhausted(&mut self) {
        self.exhausted_at = Some(Instant::now());
    }

    pub(super) fn retain_members(&mut self, members: &[IdentityKey]) {
        self.copies.lock().retain_members(members);
    }
}

impl Driver {
    /// A member has one more connection. Its older ones may be dead: all are asked, and those that do not answer while
    /// another does are closed. Never the older as such: two that dial each other at the same moment would each close the
    /// one that the other keeps.
    pub(super) fn ask_all_of(&mut self, peer: PeerId) {
        let now = Instant::now();
        for connection in self.links.of(&peer) {
            let presence = &mut self.swarm.behaviour_mut().members.inner().presence;
            presence.ask(peer, connection, now);
        }
    }

    pub(super) fn on_presence(&mut self, event: PresenceEvent) {
        let PresenceEvent { peer, connection, outcome } = event;
        match outcome {
            Outcome::Asked(hello) => {
                if self.watch.hello_rate.take(peer, Instant::now()) {
                    self.on_hello(peer, connection, &hello, None);
                } else {
                    self.counters.dropped();
                }
            }
            Outcome::Answered(hello, asked_at) => {
                self.links.answered(connection, Instant::now());
                self.on_hello(peer, connection, &hello, Some(asked_at));
            }
            Outcome::Unknown => self.links.answered(connection, Instant::now()),
            Outcome::Silent(asked_at) => {
                // Of two that have long been open, one that is full of objects on a slow line may be late: that is the
                // pings' business, and so is a connection with none beside it.
                if !self.links.is_suspect(connection) {
                    return;
                }
                if self.links.other_answered_since(&peer, connection, asked_at) {
                    tracing::info!(%peer, "an old connection is dead; another one is not");
                    self.close(connection);
                } else {
                    self.ask_all_of(peer);
                }
            }
        }
    }

    fn on_hello(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        hello: &Hello,
        asked_at: Option<Instant>,
    ) {
        let Some(key) = identity_key_of(&peer).filter(|_| self.links.is_member(connection)) else {
            return;
        };
        let now = Instant::now();
        let news = self.watch.copies.lock().on_hello(connection, key, hello, asked_at, now);
        if news {
            // What is new about copies goes on in a moment, not in a round's time.
            self.watch.next_round = self.watch.next_round.min(now + self.watch.interval / 8);
            self.show_health(now);
        }
        if hello.listens && self.topic.is_some() && !hello.hears_you {
            self.watch.faults.entry(peer).or_default().said_deaf = true;
            self.swarm.behaviour_mut().members.inner().gossip.announce(&peer);
        }
    }

    /// The connection of a process that is gone: what it was told is lost, and the new one knows nothing.
    pub(super) fn tell_restart(&mut self, peer: &PeerId, closed: ConnectionId) {
        let restarted = {
            let copies = self.watch.copies.lock();
            let gone = copies.instance_at(closed);
            let others = self.links.of(peer);
            let left: Vec<_> = others.iter().filter_map(|id| copies.instance_at(*id)).collect();
            gone.is_some_and(|gone| !left.is_empty() && !left.contains(&gone))
        };
        if let (true, Some(key)) = (restarted, identity_key_of(peer)) {
            self.tell(NetEvent::PeerDown(key));
            self.tell(NetEvent::PeerUp(key));
        }
    }

    pub(super) fn presence_closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        self.watch.copies.lock().closed(connection);
        if self.links.of(peer).is_empty() {
            self.watch.heard.remove(peer);
        }
    }

    /// Every interval: asks everybody, and looks at gossip's ways.
    pub(super) fn presence_round(&mut self, now: Instant) {
        if now < self.watch.next_round {
            return;
        }
        self.watch.next_round = now + self.watch.interval;
        self.look_at_gossip(now);
        for (peer, connection) in self.links.all_members() {
            let presence = &mut self.swarm.behaviour_mut().members.inner().presence;
            presence.ask(peer, connection, now);
        }
        self.show_health(now);
    }

    /// Who hears whom. A subscription that we have, and something by gossip not long ago, is hearing; everybody's
    /// subscriptions are said again in each round, so there always is something.
    fn look_at_gossip(&mut self, now: Instant) {
        let connected: BTreeSet<PeerId> =
            self.links.all_members().into_iter().map(|(peer, _)| peer).collect();
        let Some(topic) = self.topic.clone() else {
            self.watch.copies.lock().set_hearing(false, BTreeSet::new());
            return;
        };
        let gossip = &mut self.swarm.behaviour_mut().members.inner().gossip;
        for peer in &connected {
            gossip.announce(peer);
        }
        let topic = topic.hash();
        let inner = gossip.inner();
        let is_empty = inner.mesh_peers(&topic).next().is_none();
        let subscribed: BTreeSet<PeerId> = inner
            .all_peers()
            .filter(|(_, topics)| topics.contains(&&topic))
            .map(|(peer, _)| *peer)
            .collect();
        let patience = ROUNDS_TILL_TOLD * self.watch.interval;
        let says_it_again = |peer: &PeerId| {
            let copies = self.watch.copies.lock();
            self.links.of(peer).iter().any(|id| copies.instance_at(*id).is_some())
        };
        let hears = |peer: &PeerId| {
            let lately = |at: &Instant| now.saturating_duration_since(*at) < patience;
            // An older version subscribes once and may have nothing to announce for long.
            subscribed.contains(peer)
                && (!says_it_again(peer) || self.watch.heard.get(peer).is_some_and(lately))
        };
        let heard: BTreeSet<PeerId> = connected.iter().filter(|it| hears(it)).copied().collect();
        let keys = heard.iter().filter_map(identity_key_of).collect();
        self.watch.copies.lock().set_hearing(true, keys);
        let empty = is_empty && !connected.is_empty();
        self.watch.empty_rounds = if empty { self.watch.empty_rounds + 1 } else { 0 };
        self.mend(&connected, &heard, now);
    }

    /// Counts for how long somebody is not heard, and makes the connection anew when saying it again did not help.
    fn mend(&mut self, connected: &BTreeSet<PeerId>, heard: &BTreeSet<PeerId>, now: Instant) {
        let (watch, longest) = (&mut self.watch, MAX_REMAKE_WAIT);
        watch.faults.retain(|peer, _| connected.contains(peer));
        let mut remade = Vec::new();
        for peer in connected {
            let fault = watch.faults.entry(*peer).or_default();
            let said_deaf = std::mem::take(&mut fault.said_deaf);
            fault.deaf = if said_deaf { fault.deaf + 1 } else { 0 };
            fault.mute = if heard.contains(peer) { 0 } else { fault.mute + 1 };
            let lasts = fault.deaf.max(fault.mute) >= ROUNDS_TILL_REMADE;
            if lasts && fault.remake_after.is_none_or(|at| now >= at) {
                let wait = watch.interval * ROUNDS_TILL_REMADE * 2u32.pow(fault.remade.min(10));
                fault.remake_after = Some(now + wait.min(longest));
                fault.remade += 1;
                remade.push(*peer);
            }
        }
        for peer in remade {
            tracing::warn!(%peer, "announcements do not pass although it is connected: connecting anew");
            for connection in self.links.of(&peer) {
                self.close(connection);
            }
        }
    }

    fn show_health(&self, now: Instant) {
        let watch = &self.watch;
        let lately = |at: Option<Instant>| {
            at.is_some_and(|at| now.saturating_duration_since(at) < 4 * watch.interval)
        };
        let lasting = |rounds: fn(&Fault) -> u32| {
            let lasting = watch.faults.iter().filter(|(_, it)| rounds(it) >= ROUNDS_TILL_TOLD);
            let keys: BTreeSet<_> = lasting.filter_map(|(it, _)| identity_key_of(it)).collect();
            keys.into_iter().collect()
        };
        let (second_copy, doubled) = {
            let copies = watch.copies.lock();
            (copies.has_second(now), copies.doubled(now).into_iter().collect())
        };
        let health = NetHealth {
            second_copy,
            doubled,
            gossip_is_empty: watch.empty_rounds >= ROUNDS_TILL_TOLD,
            do_not_hear_us: lasting(|it| it.deaf),
            not_heard: lasting(|it| it.mute),
            refuses_connections: lately(watch.refused_at.max(watch.door.last_refusal())),
            refused_origins: watch.door.refused(FLOOD, now),
            slow_readers: self.outbox.overflowing(2 * watch.interval, now),
            max_connections: watch.max_connections,
            out_of_descriptors: lately(watch.exhausted_at),
        };
        watch.health.send_if_modified(|shown| {
            let changed = *shown != health;
            *shown = health;
            changed
        });
    }
}

impl Links {
    pub(super) fn all_members(&self) -> Vec<(PeerId, ConnectionId)> {
        self.members.iter().map(|(id, link)| (link.peer, *id)).collect()
    }

    pub(super) fn of(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let of = self.members.iter().filter(|(_, link)| link.peer == *peer);
        of.map(|(id, _)| *id).collect()
    }

    fn is_member(&self, connection: ConnectionId) -> bool {
        self.members.contains_key(&connection)
    }

    fn answered(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(link) = self.members.get_mut(&connection) {
            link.answered_at = Some(now);
            link.is_suspect = false;
        }
    }

    /// A member's connections of now may be dead: it is making another.
    pub(super) fn suspect(&mut self, peer: &PeerId) {
        for link in self.members.values_mut().filter(|link| link.peer == *peer) {
            link.is_suspect = true;
        }
    }

    fn is_suspect(&self, connection: ConnectionId) -> bool {
        self.members.get(&connection).is_some_and(|link| link.is_suspect)
    }

    fn other_answered_since(&self, peer: &PeerId, but: ConnectionId, since: Instant) -> bool {
        self.members.iter().any(|(id, link)| {
            link.peer == *peer && *id != but && link.answered_at.is_some_and(|at| at >= since)
        })
    }
}
