//! Where members are: our own word told to all, theirs taken, kept and handed on.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use fedshield_protocol::ids::IdentityKey;
use libp2p::request_response as exchange;
use libp2p::{Multiaddr, PeerId};
use rand::RngExt;
use tokio::time::Instant;

use super::Driver;
use crate::addresses::{Ask, Record, Records, Saver, Taken, decode_records, encode_records};
use crate::codec::Answer;
use crate::handle::{MemberAddr, PeerView};
use crate::key::{identity_key_of, peer_id_of};
use crate::limits::{ADDRESSES_ASK_INTERVAL, ADDRESSES_ASK_RATE, MAX_MEMBERS, OWN_RECORD_PAUSE};
use crate::rate::Buckets;
use crate::reach::{Reach, reach_of};

type AddressesEvent = exchange::Event<Vec<u8>, Answer>;

/// Records, and when to ask for more.
pub(super) struct Whereabouts {
    records: Records,
    saver: Saver,
    /// What the daemon wants others to know; none before it has said so.
    announced: Option<Vec<Multiaddr>>,
    rate: Buckets<PeerId>,
    next_ask: Instant,
    /// Others have a record of ours that we have forgotten: when we sign another one.
    sign_again_at: Option<Instant>,
    signed_again: Option<Instant>,
}

impl Whereabouts {
    pub(super) fn new(records: Records, saver: Saver) -> Self {
        Self {
            records,
            saver,
            announced: None,
            rate: Buckets::new(ADDRESSES_ASK_RATE, MAX_MEMBERS),
            next_ask: Instant::now() + ADDRESSES_ASK_INTERVAL,
            sign_again_at: None,
            signed_again: None,
        }
    }

    /// When there is something to do.
    pub(super) fn next_timer(&self) -> Instant {
        self.sign_again_at.map_or(self.next_ask, |at| at.min(self.next_ask))
    }

    /// Whether this node is meant for its own machine only, as in a trial: then loopback is where the others are.
    fn are_here(&self) -> bool {
        let announced = self.announced.as_deref().unwrap_or_default();
        !announced.is_empty() && announced.iter().all(|a| reach_of(a) == Reach::Machine)
    }
}

impl Driver {
    /// The daemon says where others are to look for us.
    pub(super) fn announce(&mut self, addresses: Vec<Multiaddr>) {
        self.whereabouts.announced = Some(addresses);
        self.sign_own();
        // Whether a neighbour's loopback counts may have changed.
        let peers: Vec<PeerId> = self.book.members().collect();
        for peer in peers {
            self.use_record(&peer, false);
        }
    }

    fn sign_own(&mut self) {
        let Some(addresses) = &self.whereabouts.announced else { return };
        match self.whereabouts.records.announce(addresses, now_ms()) {
            Ok(true) => {
                self.save_records();
                let peers: Vec<PeerId> =
                    self.connected.list().iter().filter_map(peer_id_of).collect();
                for peer in peers {
                    self.ask_addresses(&peer);
                }
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot sign this node's addresses"),
        }
    }

    /// Who is no member any more is forgotten; what is known of the others counts at once.
    pub(super) fn use_records_of(&mut self, members: &BTreeSet<PeerId>) {
        self.whereabouts.records.retain(members);
        for peer in members {
            self.use_record(peer, false);
        }
    }

    /// `is_neighbour`: the member itself told us over loopback.
    fn use_record(&mut self, peer: &PeerId, is_neighbour: bool) {
        let is_neighbour = is_neighbour || self.whereabouts.are_here();
        if let Some(record) = self.whereabouts.records.of(peer) {
            self.book.set_signed(peer, &record.addresses, is_neighbour, Instant::now());
        }
    }

    /// Tells a connected member where we are, and asks for what it knows better than we do.
    pub(super) fn ask_addresses(&mut self, peer: &PeerId) {
        let records = &self.whereabouts.records;
        let ask = Ask {
            have: records.all().map(|record| (record.peer, record.number)).collect(),
            records: records.own().map(|own| own.bytes.clone()).into_iter().collect(),
        };
        self.swarm.behaviour_mut().members.inner().addresses.send_request(peer, ask.encode());
    }

    pub(super) fn on_addresses_timer(&mut self, now: Instant) {
        if self.whereabouts.sign_again_at.is_some_and(|at| at <= now) {
            self.whereabouts.sign_again_at = None;
            self.whereabouts.signed_again = Some(now);
            self.sign_own();
        }
        if self.whereabouts.next_ask <= now {
            self.whereabouts.next_ask = now + ADDRESSES_ASK_INTERVAL;
            let connected = self.connected.list();
            if !connected.is_empty()
                && let Some(key) = connected.get(rand::rng().random_range(0..connected.len()))
                && let Some(peer) = peer_id_of(key)
            {
                self.ask_addresses(&peer);
            }
        }
    }

    pub(super) fn on_addresses(&mut self, event: AddressesEvent) {
        match event {
            exchange::Event::Message { peer, message, connection_id } => match message {
                exchange::Message::Request { request, channel, .. } => {
                    let near = self.is_neighbour(connection_id);
                    let answer = self.answer_addresses(&peer, near, &request);
                    let addresses = &mut self.swarm.behaviour_mut().members.inner().addresses;
                    // An error means that the asker is gone.
                    let _ = addresses.send_response(channel, answer);
                }
                exchange::Message::Response { response: Answer::Accepted(bytes), .. } => {
                    let near = self.is_neighbour(connection_id);
                    match decode_records(&bytes) {
                        Some(records) => self.take_records(&peer, near, records),
                        None => tracing::debug!(%peer, "a list of records that is none"),
                    }
                }
                exchange::Message::Response { .. } => {}
            },
            exchange::Event::OutboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a member was not asked for addresses");
            }
            exchange::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a member was not told addresses");
            }
            exchange::Event::ResponseSent { .. } => {}
        }
    }

    fn answer_addresses(&mut self, peer: &PeerId, near: bool, bytes: &[u8]) -> Answer {
        if !self.whereabouts.rate.take(*peer, Instant::now()) {
            self.counters.dropped();
            return Answer::Busy;
        }
        let Some(ask) = Ask::decode(bytes) else { return Answer::Declined };
        // Its own word first: whoever asks after it is told.
        self.take_records(peer, near, ask.records);
        let newer = self.whereabouts.records.newer_than(&ask.have);
        Answer::Accepted(encode_records(newer))
    }

    fn take_records(&mut self, from: &PeerId, near: bool, records: Vec<Vec<u8>>) {
        let now = Instant::now();
        let mut changed = false;
        for bytes in records {
            let members = &self.swarm.behaviour().members;
            let taken = self.whereabouts.records.take(&bytes, |peer| members.is_member(peer), now);
            match taken {
                Ok(Taken::Newer(peer)) => {
                    changed = true;
                    self.use_record(&peer, near && peer == *from);
                    if let Some(Record { addresses, .. }) = self.whereabouts.records.of(&peer) {
                        tracing::info!(%peer, ?addresses, "a member has told where it is");
                    }
                }
                Ok(Taken::OwnAhead) => {
                    changed = true;
                    let last = self.whereabouts.signed_again;
                    let at = last.map_or(now, |last| now.max(last + OWN_RECORD_PAUSE));
                    self.whereabouts.sign_again_at.get_or_insert(at);
                }
                Ok(Taken::Known) => {}
                Err(error) => {
                    self.counters.dropped();
                    tracing::debug!(%from, %error, "an address record was refused");
                }
            }
        }
        if changed {
            self.save_records();
        }
    }

    fn save_records(&self) {
        let whereabouts = &self.whereabouts;
        whereabouts.saver.save(whereabouts.records.all().map(|record| record.bytes.as_slice()));
    }

    /// Replaces what the operator says of all members.
    pub(super) fn set_operator(&mut self, all: Vec<MemberAddr>) {
        let known = |member: MemberAddr| Some((peer_id_of(&member.key)?, member.addresses));
        self.book.set_operator(all.into_iter().filter_map(known).collect(), Instant::now());
    }

    /// All members but ourselves: how they are connected, and where they are looked for.
    pub(super) fn peers(&self) -> Vec<PeerView> {
        let view = |peer: PeerId| {
            let key: IdentityKey = identity_key_of(&peer)?;
            let record = self.whereabouts.records.of(&peer);
            Some(PeerView {
                key,
                connections: self.connections_with(&peer),
                addresses: self.book.known(&peer),
                signed_at_ms: record.map(|record| record.number),
                queue: self.outbox.view(&key),
            })
        };
        self.book.members().filter_map(view).collect()
    }
}

/// Milliseconds since 1970 by this machine's clock; 0 before that.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
