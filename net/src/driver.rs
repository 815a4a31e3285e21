//! The task that owns the swarm: commands in, events out, one loop.

mod addresses;
mod connections;
mod joins;
mod messages;
mod moving;
mod presence;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fedshield_protocol::ids::Digest;
use futures::StreamExt;
use libp2p::gossipsub::IdentTopic;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, Swarm, request_response::OutboundRequestId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::address_book::AddressBook;
use crate::addresses::{Records, Saver};
use crate::admission::Door;
use crate::behaviour::{Behaviour, BehaviourEvent, MemberProtocolsEvent};
use crate::bulk::Bulk;
use crate::command::{Command, Reply};
use crate::config::Tuning;
use crate::connected::Connected;
use crate::descriptors::Room;
use crate::error::MembersError;
use crate::event::NetEvent;
use crate::gossip::topic_of;
use crate::handle::MemberAddr;
use crate::health::NetHealth;
use crate::inbox::Inbox;
use crate::key::peer_id_of;
use crate::limits::{
    DIRECT_RATE, GOSSIP_RATE, MAX_GOSSIP_BUCKETS, MAX_MEMBERS, MAX_PENDING_EVENTS,
};
use crate::listen::Listeners;
use crate::outbox::Outbox;
use crate::presence::SharedCopies;
use crate::rate::Buckets;
use crate::stats::Counters;
use crate::tasks::Tasks;

/// How long connections may take to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the task starts with.
pub(crate) struct Setup {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<NetEvent>,
    pub(crate) book: AddressBook,
    pub(crate) bulk: Arc<Bulk>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) tasks: Tasks,
    pub(crate) copies: SharedCopies,
    pub(crate) health: watch::Sender<NetHealth>,
    pub(crate) tuning: Tuning,
    pub(crate) listeners: Listeners,
    pub(crate) door: Door,
    pub(crate) records: Records,
    pub(crate) saver: Saver,
    /// What happened in the swarm before this task runs.
    pub(crate) early: Vec<SwarmEvent<BehaviourEvent>>,
}

/// The state of the network task.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NetEvent>,
    inbox: Inbox,
    book: AddressBook,
    bulk: Arc<Bulk>,
    counters: Arc<Counters>,
    connected: Arc<Connected>,
    tasks: Tasks,
    topic: Option<IdentTopic>,
    links: connections::Links,
    watch: presence::Watch,
    outbox: Outbox<messages::Caller>,
    direct_out: HashMap<OutboundRequestId, messages::DirectOut>,
    direct_rate: Buckets<PeerId>,
    /// By who wrote it and who passed it on: what somebody repeats of another's counts against himself.
    gossip_rate: Buckets<(PeerId, PeerId)>,
    joins: joins::Joins,
    listeners: Listeners,
    door: Door,
    whereabouts: addresses::Whereabouts,
    moves: moving::Moves,
    early: Vec<SwarmEvent<BehaviourEvent>>,
}

impl Driver {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            swarm: setup.swarm,
            commands: setup.commands,
            events: setup.events,
            inbox: Inbox::default(),
            book: setup.book,
            bulk: setup.bulk,
            counters: setup.counters,
            connected: setup.connected,
            tasks: setup.tasks,
            topic: None,
            links: connections::Links::default(),
            watch: presence::Watch::new(
                setup.copies,
                setup.health,
                setup.door.clone(),
                setup.tuning.hello_interval,
                Room::of(setup.tuning.max_descriptors).connections,
            ),
            outbox: Outbox::default(),
            direct_out: HashMap::new(),
            direct_rate: Buckets::new(DIRECT_RATE, MAX_MEMBERS),
            gossip_rate: Buckets::new(GOSSIP_RATE, MAX_GOSSIP_BUCKETS),
            joins: joins::Joins::default(),
            listeners: setup.listeners,
            door: setup.door,
            whereabouts: addresses::Whereabouts::new(setup.records, setup.saver),
            moves: moving::Moves::new(setup.tuning.move_base),
            early: setup.early,
        }
    }

    /// Runs until it is told to stop, or until nobody can tell it anything.
    pub(crate) async fn run(mut self) {
        for event in std::mem::take(&mut self.early) {
            self.on_swarm_event(event);
        }
        let events = self.events.clone();
        let stopped_by = loop {
            // A daemon that does not read its events stops the network, not the memory.
            let has_room = self.inbox.certain() < MAX_PENDING_EVENTS;
            let wake_at = self.next_timer();
            tokio::select! {
                place = events.reserve(), if !self.inbox.is_empty() => match place {
                    Ok(place) => if let Some(event) = self.inbox.next() {
                        place.send(event);
                    },
                    Err(_) => break None,
                },
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                event = self.swarm.select_next_some(), if has_room => self.on_swarm_event(event),
                answered = self.joins.next_answer() => self.send_join_answer(answered),
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
            self.on_timer(Instant::now());
        };
        self.stop(stopped_by).await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::SetMembers { federation, members, reply } => {
                // Each caller may have gone away; then nobody minds.
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
            // Taken by the loop.
            Command::Shutdown { reply } => drop(reply),
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let Some(event) = self.listeners.on_event(event) else { return };
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
                MemberProtocolsEvent::Addresses(event) => self.on_addresses(event),
                MemberProtocolsEvent::Streams(()) => {}
            },
            BehaviourEvent::ConnectionLimits(never) | BehaviourEvent::MemoryLimits(never) => {
                match never {}
            }
        }
    }

    fn set_members(
        &mut self,
        federation: &Digest,
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
        self.bulk.retain_members(&keys);
        self.watch.retain_members(&keys);
        self.forget_letters(&keys);
        let allowed: BTreeSet<PeerId> = peers.iter().map(|(peer, _)| *peer).collect();
        self.swarm.behaviour_mut().members.set_members(allowed.iter().copied().collect());
        self.book.set_members(peers, Instant::now());
        self.use_records_of(&allowed);
        self.set_topic(topic_of(federation));
        Ok(())
    }

    /// Queues an event that must not be lost.
    fn tell(&mut self, event: NetEvent) {
        self.inbox.tell(event);
    }

    /// Queues an event that may be refused: while the daemon is behind, what others can send again waits outside. It came
    /// from `from` and was written by `author`; from outsiders it has neither.
    fn offer(
        &mut self,
        from: Option<PeerId>,
        author: Option<PeerId>,
        length: usize,
        event: NetEvent,
    ) -> bool {
        let taken = self.inbox.offer(from, author, length, self.book.count(), event);
        if !taken {
            self.counters.dropped();
        }
        taken
    }

    fn next_timer(&self) -> Option<Instant> {
        let guests = self.links.next_guest_deadline();
        let (listeners, addresses) = (self.listeners.next_retry(), self.whereabouts.next_timer());
        let presence = self.watch.next_round();
        let moves = self.moves.next_look();
        [self.book.next_due(), guests, listeners, Some(addresses), Some(presence), Some(moves)]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_timer(&mut self, now: Instant) {
        for (peer, addresses) in self.book.take_due(now) {
            self.dial_member(peer, addresses);
        }
        self.close_idle_guests(now);
        self.presence_round(now);
        self.listeners.retry(&mut self.swarm, now);
        self.on_addresses_timer(now);
        self.on_moves_timer(now);
        if let Some(hosts) = self.book.take_changed_hosts() {
            self.door.set_known(hosts);
        }
    }

    fn close(&mut self, connection: ConnectionId) {
        // False means that it is closed already.
        let _ = self.swarm.close_connection(connection);
    }

    /// Says goodbye, so that the others need not find out by themselves, and lets go of everything.
    async fn stop(mut self, stopped_by: Option<Reply<()>>) {
        self.tasks.shut_down().await;
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let goodbye = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        if timeout(GOODBYE_TIMEOUT, goodbye).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        for key in self.connected.list() {
            self.connected.remove(&key);
        }
        drop(self.swarm);
        if let Some(reply) = stopped_by {
            let _ = reply.send(());
        }
    }
}
