//! The task that owns the swarm: commands in, events out, one loop.

mod connections;
mod joins;
mod messages;
mod presence;
mod quic_upgrade;
mod records;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fedshield_protocol::ids::FederationId;
use futures::StreamExt;
use libp2p::gossipsub::IdentTopic;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, request_response::OutboundRequestId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::address_book::AddressBook;
use crate::admission::AdmissionControl;
use crate::behaviour::{Behaviour, BehaviourEvent, MemberProtocols, MemberProtocolsEvent};
use crate::bulk::Bulk;
use crate::command::{Command, Reply};
use crate::connected::Connected;
use crate::error::MembersError;
use crate::event::NetEvent;
use crate::gossip::topic_of;
use crate::handle::MemberAddr;
use crate::inbound_queue::{InboundQueue, Source};
use crate::key::peer_id_of;
use crate::limits::{
    DIRECT_RATE, GOSSIP_RATE, MAX_GOSSIP_BUCKETS, MAX_MEMBERS, MAX_PENDING_EVENTS,
};
use crate::listen::Listeners;
use crate::outbound_queue::OutboundQueues;
use crate::rate::TokenBuckets;
use crate::stats::Counters;
use crate::tasks::Tasks;

pub(crate) use presence::PresenceMonitor;
pub(crate) use quic_upgrade::QuicUpgrades;
pub(crate) use records::RecordExchange;

/// How long connections may take to close when the node shuts down.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the task shares with the rest of the node, or owns alone.
pub(crate) struct DriverParts {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<NetEvent>,
    pub(crate) book: AddressBook,
    pub(crate) bulk: Arc<Bulk>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) tasks: Tasks,
    pub(crate) listeners: Listeners,
    pub(crate) admission: AdmissionControl,
    pub(crate) presence: PresenceMonitor,
    pub(crate) records: RecordExchange,
    pub(crate) quic_upgrades: QuicUpgrades,
}

/// The state of the network task.
pub(crate) struct Driver {
    parts: DriverParts,
    inbound: InboundQueue,
    topic: Option<IdentTopic>,
    connections: connections::Connections,
    outbound: OutboundQueues<messages::Caller>,
    direct_in_flight: HashMap<OutboundRequestId, messages::DirectInFlight>,
    direct_rate: TokenBuckets<PeerId>,
    /// By sender and forwarder: repeated copies of another member's announcement count against the
    /// forwarder.
    gossip_rate: TokenBuckets<(PeerId, PeerId)>,
    joins: joins::Joins,
}

impl Driver {
    pub(crate) fn new(parts: DriverParts) -> Self {
        Self {
            parts,
            inbound: InboundQueue::default(),
            topic: None,
            connections: connections::Connections::default(),
            outbound: OutboundQueues::default(),
            direct_in_flight: HashMap::new(),
            direct_rate: TokenBuckets::new(DIRECT_RATE, MAX_MEMBERS),
            gossip_rate: TokenBuckets::new(GOSSIP_RATE, MAX_GOSSIP_BUCKETS),
            joins: joins::Joins::default(),
        }
    }

    /// Runs until the node is shut down or the last handle is dropped. `early`: events of the swarm
    /// from before this task ran.
    pub(crate) async fn run(mut self, early: Vec<SwarmEvent<BehaviourEvent>>) {
        for event in early {
            self.on_swarm_event(event);
        }
        let events = self.parts.events.clone();
        let shut_down_by = loop {
            // Backpressure: while the daemon does not read its events, the network is not read
            // either.
            let accepts_events = self.inbound.reliable() < MAX_PENDING_EVENTS;
            let wake_at = self.next_timer();
            tokio::select! {
                permit = events.reserve(), if !self.inbound.is_empty() => match permit {
                    Ok(permit) => if let Some(event) = self.inbound.next() {
                        permit.send(event);
                    },
                    Err(_) => break None,
                },
                command = self.parts.commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                event = self.parts.swarm.select_next_some(), if accepts_events => {
                    self.on_swarm_event(event);
                }
                answered = self.joins.next_answer() => self.send_join_answer(answered),
                () = sleep_until(wake_at) => {}
            }
            self.on_timer(Instant::now());
        };
        self.shut_down(shut_down_by).await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::SetMembers { federation, members, reply } => {
                // Here and below, an error means that the caller was cancelled.
                let _ = reply.send(self.set_members(&federation, members));
            }
            Command::Gossip { bytes, reply } => {
                let _ = reply.send(self.publish(bytes));
            }
            Command::Send { to, bytes, reply } => self.send_direct(to, bytes, reply),
            Command::Join { call, reply } => self.start_join(call, reply),
            Command::Announce { addresses, reply } => {
                self.announce(addresses);
                let _ = reply.send(());
            }
            Command::SetOperator { members, reply } => {
                self.set_operator(members);
                let _ = reply.send(());
            }
            Command::Peers { reply } => {
                let _ = reply.send(self.peers());
            }
            // Handled by the loop.
            Command::Shutdown { reply } => drop(reply),
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let Some(event) = self.parts.listeners.on_event(event) else { return };
        let event = match event {
            SwarmEvent::Behaviour(event) => event,
            other => return self.on_connection_event(other),
        };
        match event {
            BehaviourEvent::Join(event) => self.on_join_event(event),
            BehaviourEvent::Members(event) => match event {
                MemberProtocolsEvent::Gossip(event) => self.on_gossip(event),
                MemberProtocolsEvent::Direct(event) => self.on_direct(event),
                MemberProtocolsEvent::Identify(event) => self.on_identify(event),
                MemberProtocolsEvent::Ping(event) => self.on_ping(&event),
                MemberProtocolsEvent::Presence(event) => self.on_presence(event),
                MemberProtocolsEvent::Records(event) => self.on_records(event),
                MemberProtocolsEvent::Streams(()) => {}
            },
            BehaviourEvent::ConnectionLimits(never) | BehaviourEvent::MemoryLimits(never) => {
                match never {}
            }
        }
    }

    fn set_members(
        &mut self,
        federation: &FederationId,
        members: Vec<MemberAddr>,
    ) -> Result<(), MembersError> {
        if members.len() > MAX_MEMBERS {
            return Err(MembersError::TooMany { count: members.len(), max: MAX_MEMBERS });
        }
        let mut peers = Vec::with_capacity(members.len());
        let mut keys = Vec::with_capacity(members.len());
        for member in members {
            let peer = peer_id_of(&member.key).ok_or(MembersError::Key { key: member.key })?;
            keys.push(member.key);
            peers.push((peer, member.addresses));
        }
        self.parts.bulk.retain_members(&keys);
        self.parts.presence.retain_members(&keys);
        self.drop_queues_of_others(&keys);
        let allowed: BTreeSet<PeerId> = peers.iter().map(|(peer, _)| *peer).collect();
        self.parts.swarm.behaviour_mut().members.set_members(allowed.iter().copied().collect());
        self.parts.book.set_members(peers, Instant::now());
        self.use_records_of(&allowed);
        self.set_topic(topic_of(federation));
        Ok(())
    }

    /// Queues an event that must not be lost.
    fn push_event(&mut self, event: NetEvent) {
        self.inbound.push(event);
    }

    /// Queues an event that may be refused, because its sender retransmits; false, and counted as
    /// dropped, if its queue is full.
    fn offer_event(&mut self, source: Source, length: usize, event: NetEvent) -> bool {
        let taken = self.inbound.offer(source, length, self.parts.book.count(), event);
        if !taken {
            self.parts.counters.dropped();
        }
        taken
    }

    fn next_timer(&self) -> Instant {
        let always = [
            self.parts.records.next_timer(),
            self.parts.presence.next_round(),
            self.parts.quic_upgrades.next_check(),
        ];
        let sometimes = [
            self.parts.book.next_due(),
            self.parts.listeners.next_retry(),
            self.connections.next_idle_deadline(),
        ];
        let first = always.into_iter().chain(sometimes.into_iter().flatten()).min();
        // Never empty: `always` has three.
        first.unwrap_or_else(Instant::now)
    }

    fn on_timer(&mut self, now: Instant) {
        for (peer, addresses) in self.parts.book.take_due(now) {
            self.dial_member(peer, addresses);
        }
        self.close_idle_non_members(now);
        self.presence_round(now);
        self.parts.listeners.retry(&mut self.parts.swarm, now);
        self.on_records_timer(now);
        self.on_quic_upgrade_timer(now);
        if let Some(hosts) = self.parts.book.take_changed_hosts() {
            self.parts.admission.set_known(hosts);
        }
    }

    /// The protocols that only members reach.
    fn member_protocols(&mut self) -> &mut MemberProtocols {
        self.parts.swarm.behaviour_mut().members.inner()
    }

    /// Dials all `addresses` of `peer` concurrently, even if it is connected. An error that is
    /// found at once is returned; any other outcome is reported by an event of the swarm.
    fn dial(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> (ConnectionId, Result<(), DialError>) {
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            // From a new port: two nodes that dial each other from their listening ports at the
            // same moment would make one broken connection (TCP simultaneous open) instead of two
            // good ones.
            .allocate_new_port()
            .build();
        (options.connection_id(), self.parts.swarm.dial(options))
    }

    fn close(&mut self, connection: ConnectionId) {
        // False means that it is closed already.
        let _ = self.parts.swarm.close_connection(connection);
    }

    /// Closes all connections, so that the other ends notice at once, and releases everything.
    async fn shut_down(mut self, shut_down_by: Option<Reply<()>>) {
        self.parts.tasks.shut_down().await;
        let peers: Vec<PeerId> = self.parts.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it is disconnected already.
            let _ = self.parts.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.parts.swarm.connected_peers().next().is_some() {
                self.parts.swarm.select_next_some().await;
            }
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        for key in self.parts.connected.list() {
            self.parts.connected.remove(&key);
        }
        drop(self.parts.swarm);
        if let Some(reply) = shut_down_by {
            let _ = reply.send(());
        }
    }
}
