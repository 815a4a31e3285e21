//! Both sides of the join protocol, the only one that non-members reach.

use std::collections::HashMap;
use std::future::pending;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use libp2p::request_response::{self as exchange, OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, DialError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Driver;
use crate::admission::Origin;
use crate::codec::{Answer, REQUEST_HEADER_BYTES};
use crate::command::{JoinCall, Reply};
use crate::error::JoinError;
use crate::event::{JoinReply, NetEvent};
use crate::inbound_queue::Source;
use crate::key::{identity_key_of, peer_id_of};
use crate::limits::{
    JOIN_ANSWER_TIMEOUT, JOIN_RATE, JOIN_RATE_PER_ORIGIN, JOIN_RATE_PER_PEER,
    MAX_ADDRESSES_PER_MEMBER, MAX_JOIN_BUCKETS, MAX_JOIN_REPLY_BYTES, MAX_JOINS_IN_FLIGHT,
    MAX_JOINS_PENDING,
};
use crate::rate::{TokenBucket, TokenBuckets};
use crate::transport::quic_first;

/// Requests in flight, in both directions.
pub(super) struct Joins {
    rate: TokenBucket,
    rate_per_peer: TokenBuckets<PeerId>,
    /// Keys cost nothing to generate, addresses do.
    rate_per_origin: TokenBuckets<Origin>,
    /// Requests that wait for the daemon's answer, and how many of each peer.
    answering: FuturesUnordered<BoxFuture<'static, Answered>>,
    answering_for: HashMap<PeerId, usize>,
    /// Our requests that wait for a connection, by dial.
    dialling: HashMap<ConnectionId, OutboundJoin>,
    /// Our requests that wait for the answer.
    sent: HashMap<OutboundRequestId, (PeerId, JoinCaller)>,
}

type JoinCaller = Reply<Result<Vec<u8>, JoinError>>;
type JoinEvent = exchange::Event<Vec<u8>, Answer>;

struct OutboundJoin {
    peer: PeerId,
    bytes: Vec<u8>,
    reply: JoinCaller,
}

/// The daemon's answer to one request.
pub(super) struct Answered {
    peer: PeerId,
    channel: ResponseChannel<Answer>,
    answer: Answer,
}

impl Default for Joins {
    fn default() -> Self {
        Self {
            rate: TokenBucket::new(JOIN_RATE, Instant::now()),
            rate_per_peer: TokenBuckets::new(JOIN_RATE_PER_PEER, MAX_JOIN_BUCKETS),
            rate_per_origin: TokenBuckets::new(JOIN_RATE_PER_ORIGIN, MAX_JOIN_BUCKETS),
            answering: FuturesUnordered::new(),
            answering_for: HashMap::new(),
            dialling: HashMap::new(),
            sent: HashMap::new(),
        }
    }
}

impl Joins {
    /// The next answer of the daemon; pending while there is no request.
    pub(super) async fn next_answer(&mut self) -> Answered {
        match self.answering.next().await {
            Some(answered) => answered,
            None => pending().await,
        }
    }

    /// Whether a request from or to this peer is in flight.
    pub(super) fn is_busy_with(&self, peer: &PeerId) -> bool {
        self.answering_for.contains_key(peer)
            || self.sent.values().any(|(to, reply)| to == peer && !reply.is_closed())
    }
}

impl Driver {
    pub(super) fn start_join(&mut self, call: JoinCall, reply: JoinCaller) {
        let peer = peer_id_of(&call.peer).filter(|peer| peer != self.parts.swarm.local_peer_id());
        let Some(peer) = peer else {
            let _ = reply.send(Err(JoinError::Key { key: call.peer }));
            return;
        };
        if self.joins.dialling.len() + self.joins.sent.len() >= MAX_JOINS_IN_FLIGHT {
            let _ = reply.send(Err(JoinError::BusyHere));
            return;
        }
        let out = OutboundJoin { peer, bytes: call.bytes, reply };
        if self.parts.swarm.is_connected(&peer) {
            return self.send_join(out);
        }
        let mut addresses = call.addresses;
        addresses.truncate(MAX_ADDRESSES_PER_MEMBER);
        let (id, dialled) = self.dial(peer, quic_first(addresses));
        self.joins.dialling.insert(id, out);
        if let Err(error) = dialled {
            self.on_join_dial_failed(id, peer, &error);
        }
    }

    pub(super) fn on_join_peer_connected(&mut self, peer: PeerId, id: ConnectionId) {
        // Any connection with the peer will do, also an inbound one.
        let waiting = |(dial, out): (&ConnectionId, &OutboundJoin)| {
            (*dial == id || out.peer == peer).then_some(*dial)
        };
        let ready: Vec<ConnectionId> = self.joins.dialling.iter().filter_map(waiting).collect();
        for dial in ready {
            if let Some(out) = self.joins.dialling.remove(&dial) {
                self.send_join(out);
            }
        }
    }

    pub(super) fn on_join_dial_failed(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        error: &DialError,
    ) {
        let Some(out) = self.joins.dialling.remove(&id) else { return };
        if self.parts.swarm.is_connected(&peer) {
            return self.send_join(out);
        }
        let _ = out.reply.send(Err(match error {
            DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } => {
                JoinError::WrongPeer { address: address.clone() }
            }
            other => JoinError::Unreachable { reason: other.to_string() },
        }));
    }

    fn send_join(&mut self, out: OutboundJoin) {
        if out.reply.is_closed() {
            return;
        }
        self.connections.note_request(&out.peer, Instant::now());
        self.parts.counters.join.sent(REQUEST_HEADER_BYTES + out.bytes.len());
        let id = self.parts.swarm.behaviour_mut().join.send_request(&out.peer, out.bytes);
        self.joins.sent.insert(id, (out.peer, out.reply));
    }

    pub(super) fn on_join_event(&mut self, event: JoinEvent) {
        match event {
            exchange::Event::Message { peer, message, connection_id } => match message {
                exchange::Message::Request { request, channel, .. } => {
                    let origin = self.parts.swarm.behaviour().members.origin_of(connection_id);
                    self.on_join_request(peer, origin, request, channel);
                }
                exchange::Message::Response { request_id, response } => {
                    self.parts.counters.join.received(response.wire_length());
                    let Some((_, reply)) = self.joins.sent.remove(&request_id) else { return };
                    let _ = reply.send(match response {
                        Answer::Accepted(bytes) => Ok(bytes),
                        Answer::Busy => Err(JoinError::Busy),
                        Answer::Declined => Err(JoinError::Declined),
                    });
                }
            },
            exchange::Event::OutboundFailure { request_id, error, .. } => {
                let Some((_, reply)) = self.joins.sent.remove(&request_id) else { return };
                let _ = reply.send(Err(JoinError::Lost { reason: error.to_string() }));
            }
            exchange::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "join request failed");
            }
            exchange::Event::ResponseSent { .. } => {}
        }
    }

    fn on_join_request(
        &mut self,
        peer: PeerId,
        origin: Option<Origin>,
        bytes: Vec<u8>,
        channel: ResponseChannel<Answer>,
    ) {
        self.parts.counters.join.received(REQUEST_HEADER_BYTES + bytes.len());
        let Some(from) = identity_key_of(&peer) else { return };
        let now = Instant::now();
        self.connections.note_request(&peer, now);
        let joins = &mut self.joins;
        // The buckets of the peer and its origin come first: a peer over its rate must take nothing
        // from the shared one.
        let allowed = joins.rate_per_peer.take(peer, now)
            && origin.is_none_or(|origin| joins.rate_per_origin.take(origin, now))
            && joins.rate.take(now);
        let (reply, answer) = oneshot::channel();
        let length = bytes.len();
        let taken = allowed
            && joins.answering.len() < MAX_JOINS_PENDING
            && self.offer_event(
                Source::NonMember,
                length,
                NetEvent::JoinRequest { from, bytes, reply: JoinReply(reply) },
            );
        if !taken {
            return self.respond(channel, Answer::Busy);
        }
        *self.joins.answering_for.entry(peer).or_default() += 1;
        let answer = async move {
            let answer = match timeout(JOIN_ANSWER_TIMEOUT, answer).await {
                Ok(Ok(bytes)) if bytes.len() <= MAX_JOIN_REPLY_BYTES => Answer::Accepted(bytes),
                Ok(Ok(_)) | Ok(Err(_)) => Answer::Declined,
                Err(_) => Answer::Busy,
            };
            Answered { peer, channel, answer }
        };
        self.joins.answering.push(answer.boxed());
    }

    pub(super) fn send_join_answer(&mut self, answered: Answered) {
        let Answered { peer, channel, answer } = answered;
        if let Some(count) = self.joins.answering_for.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.joins.answering_for.remove(&peer);
            }
        }
        self.respond(channel, answer);
    }

    fn respond(&mut self, channel: ResponseChannel<Answer>, answer: Answer) {
        let length = answer.wire_length();
        // An error means that the connection is closed.
        if self.parts.swarm.behaviour_mut().join.send_response(channel, answer).is_ok() {
            self.parts.counters.join.sent(length);
        }
    }
}
