//! The exchange of signed peer records: our own sent to all members, theirs verified, stored and
//! forwarded.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use fedshield_protocol::ids::IdentityKey;
use libp2p::request_response as exchange;
use libp2p::{Multiaddr, PeerId};
use rand::RngExt;
use tokio::time::Instant;

use super::Driver;
use crate::codec::Answer;
use crate::handle::{MemberAddr, PeerView};
use crate::key::{identity_key_of, peer_id_of};
use crate::limits::{
    MAX_MEMBERS, OWN_RECORD_MIN_INTERVAL, RECORD_REQUEST_INTERVAL, RECORD_REQUEST_RATE,
};
use crate::peer_records::{
    Insertion, PeerRecords, RecordRequest, RecordSaver, SignedRecord, decode_records,
    encode_records,
};
use crate::rate::TokenBuckets;
use crate::scope::{AddressScope, scope_of};

type RecordsEvent = exchange::Event<Vec<u8>, Answer>;

/// All records, and when to request newer ones.
pub(crate) struct RecordExchange {
    records: PeerRecords,
    saver: RecordSaver,
    /// The addresses that the daemon has asked to announce; none before its first call.
    announced: Option<Vec<Multiaddr>>,
    rate: TokenBuckets<PeerId>,
    next_request: Instant,
    /// When another record of ours is signed, because others have a newer one that we have lost.
    sign_again_at: Option<Instant>,
    signed_again: Option<Instant>,
}

impl RecordExchange {
    pub(crate) fn new(records: PeerRecords, saver: RecordSaver) -> Self {
        Self {
            records,
            saver,
            announced: None,
            rate: TokenBuckets::new(RECORD_REQUEST_RATE, MAX_MEMBERS),
            next_request: Instant::now() + RECORD_REQUEST_INTERVAL,
            sign_again_at: None,
            signed_again: None,
        }
    }

    /// When a record is to be signed or requested next.
    pub(super) fn next_timer(&self) -> Instant {
        self.sign_again_at.map_or(self.next_request, |at| at.min(self.next_request))
    }

    /// Whether this node announces loopback addresses only, as in a demo: then the others run on
    /// this machine as well.
    fn is_local_only(&self) -> bool {
        let announced = self.announced.as_deref().unwrap_or_default();
        !announced.is_empty() && announced.iter().all(|a| scope_of(a) == AddressScope::Host)
    }
}

impl Driver {
    /// Signs and sends the addresses at which others reach this node.
    pub(super) fn announce(&mut self, addresses: Vec<Multiaddr>) {
        self.parts.records.announced = Some(addresses);
        self.sign_own();
        // Whether loopback addresses of members are used may have changed.
        let peers: Vec<PeerId> = self.parts.book.members().collect();
        for peer in peers {
            self.use_record(&peer, false);
        }
    }

    fn sign_own(&mut self) {
        let Some(addresses) = &self.parts.records.announced else { return };
        match self.parts.records.records.sign_own(addresses, now_ms()) {
            Ok(true) => {
                self.save_records();
                let peers: Vec<PeerId> =
                    self.parts.connected.list().iter().filter_map(peer_id_of).collect();
                for peer in peers {
                    self.request_records(&peer);
                }
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot sign this node's addresses"),
        }
    }

    /// Drops the records of those that are not members, and uses those of the members.
    pub(super) fn use_records_of(&mut self, members: &BTreeSet<PeerId>) {
        self.parts.records.records.retain(members);
        for peer in members {
            self.use_record(peer, false);
        }
    }

    /// `is_same_host`: the member itself has sent it over loopback.
    fn use_record(&mut self, peer: &PeerId, is_same_host: bool) {
        let is_same_host = is_same_host || self.parts.records.is_local_only();
        if let Some(record) = self.parts.records.records.of(peer) {
            self.parts.book.set_signed(peer, &record.addresses, is_same_host, Instant::now());
        }
    }

    /// Sends our own record to a connected member, and requests the records of which it has newer
    /// ones.
    pub(super) fn request_records(&mut self, peer: &PeerId) {
        let records = &self.parts.records.records;
        let request = RecordRequest {
            known: records.all().map(|record| (record.peer, record.seq)).collect(),
            records: records.own().map(|own| own.bytes.clone()).into_iter().collect(),
        };
        self.member_protocols().records.send_request(peer, request.encode());
    }

    pub(super) fn on_records_timer(&mut self, now: Instant) {
        if self.parts.records.sign_again_at.is_some_and(|at| at <= now) {
            self.parts.records.sign_again_at = None;
            self.parts.records.signed_again = Some(now);
            self.sign_own();
        }
        if self.parts.records.next_request <= now {
            self.parts.records.next_request = now + RECORD_REQUEST_INTERVAL;
            let connected = self.parts.connected.list();
            if !connected.is_empty()
                && let Some(key) = connected.get(rand::rng().random_range(0..connected.len()))
                && let Some(peer) = peer_id_of(key)
            {
                self.request_records(&peer);
            }
        }
    }

    pub(super) fn on_records(&mut self, event: RecordsEvent) {
        match event {
            exchange::Event::Message { peer, message, connection_id } => match message {
                exchange::Message::Request { request, channel, .. } => {
                    let is_same_host = self.connections.is_same_host(connection_id);
                    let answer = self.answer_record_request(&peer, is_same_host, &request);
                    // An error means that the connection is closed.
                    let _ = self.member_protocols().records.send_response(channel, answer);
                }
                exchange::Message::Response { response: Answer::Accepted(bytes), .. } => {
                    let is_same_host = self.connections.is_same_host(connection_id);
                    match decode_records(&bytes) {
                        Some(records) => self.take_records(&peer, is_same_host, records),
                        None => tracing::debug!(%peer, "an answer that is no list of records"),
                    }
                }
                exchange::Message::Response { .. } => {}
            },
            exchange::Event::OutboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "no answer to a request for records");
            }
            exchange::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a request for records was not answered");
            }
            exchange::Event::ResponseSent { .. } => {}
        }
    }

    fn answer_record_request(&mut self, peer: &PeerId, is_same_host: bool, bytes: &[u8]) -> Answer {
        if !self.parts.records.rate.take(*peer, Instant::now()) {
            self.parts.counters.dropped();
            return Answer::Busy;
        }
        let Some(request) = RecordRequest::decode(bytes) else { return Answer::Declined };
        // Its own record first, so that the next one who asks gets it.
        self.take_records(peer, is_same_host, request.records);
        let newer = self.parts.records.records.newer_than(&request.known);
        Answer::Accepted(encode_records(newer))
    }

    fn take_records(&mut self, from: &PeerId, is_same_host: bool, records: Vec<Vec<u8>>) {
        let now = Instant::now();
        let mut changed = false;
        for bytes in records {
            let members = &self.parts.swarm.behaviour().members;
            let is_member = |peer: &PeerId| members.is_member(peer);
            match self.parts.records.records.insert(&bytes, is_member, now) {
                Ok(Insertion::Newer(peer)) => {
                    changed = true;
                    self.use_record(&peer, is_same_host && peer == *from);
                    if let Some(SignedRecord { addresses, .. }) =
                        self.parts.records.records.of(&peer)
                    {
                        tracing::info!(%peer, ?addresses, "a member has new addresses");
                    }
                }
                Ok(Insertion::OwnIsNewer) => {
                    changed = true;
                    let last = self.parts.records.signed_again;
                    let at = last.map_or(now, |last| now.max(last + OWN_RECORD_MIN_INTERVAL));
                    self.parts.records.sign_again_at.get_or_insert(at);
                }
                Ok(Insertion::Stale) => {}
                Err(error) => {
                    self.parts.counters.dropped();
                    tracing::debug!(%from, %error, "a peer record was refused");
                }
            }
        }
        if changed {
            self.save_records();
        }
    }

    fn save_records(&self) {
        let exchange = &self.parts.records;
        exchange.saver.save(exchange.records.all().map(|record| record.bytes.as_slice()));
    }

    /// Replaces the operator's addresses of all members.
    pub(super) fn set_operator(&mut self, all: Vec<MemberAddr>) {
        let known = |member: MemberAddr| Some((peer_id_of(&member.key)?, member.addresses));
        self.parts.book.set_operator(all.into_iter().filter_map(known).collect(), Instant::now());
    }

    /// All other members: their connections, their addresses and their queues.
    pub(super) fn peers(&self) -> Vec<PeerView> {
        let view = |peer: PeerId| {
            let key: IdentityKey = identity_key_of(&peer)?;
            let record = self.parts.records.records.of(&peer);
            Some(PeerView {
                key,
                connections: self.connections.view(&peer),
                addresses: self.parts.book.known(&peer),
                signed_at_ms: record.map(|record| record.seq),
                queue: self.outbound.view(&key),
            })
        };
        self.parts.book.members().filter_map(view).collect()
    }
}

/// Milliseconds since 1970 by this machine's clock; 0 before that.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
