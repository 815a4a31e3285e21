//! The join protocol, both sides: the only one that outsiders reach.

use std::collections::HashMap;
use std::future::pending;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use libp2p::request_response::{self as exchange, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Driver;
use crate::admission::Origin;
use crate::codec::{Answer, REQUEST_HEADER_BYTES};
use crate::command::{JoinCall, Reply};
use crate::error::JoinError;
use crate::event::{JoinReply, NetEvent};
use crate::key::{identity_key_of, peer_id_of};
use crate::limits::{
    JOIN_ANSWER_TIMEOUT, JOIN_RATE, JOIN_RATE_PER_ORIGIN, JOIN_RATE_PER_PEER,
    MAX_ADDRESSES_PER_MEMBER, MAX_JOIN_BUCKETS, MAX_JOIN_REPLY_BYTES, MAX_JOINS_OUT,
    MAX_JOINS_PENDING,
};
use crate::prefer::quic_first;
use crate::rate::{Buckets, TokenBucket};

/// Requests under way, in both directions.
pub(super) struct Joins {
    rate: TokenBucket,
    rate_per_peer: Buckets<PeerId>,
    /// Keys cost nothing to make, addresses do.
    rate_per_origin: Buckets<Origin>,
    /// Requests that the daemon thinks about.
    thinking: FuturesUnordered<BoxFuture<'static, Answered>>,
    thinking_for: HashMap<PeerId, usize>,
    /// Our requests that wait for a connection, by the dial that makes it.
    dialling: HashMap<ConnectionId, Out>,
    /// Our requests that wait for an answer.
    asked: HashMap<OutboundRequestId, (PeerId, OutReply)>,
}

type OutReply = Reply<Result<Vec<u8>, JoinError>>;
type JoinEvent = exchange::Event<Vec<u8>, Answer>;

struct Out {
    peer: PeerId,
    bytes: Vec<u8>,
    reply: OutReply,
}

/// What the daemon said to one request.
pub(super) struct Answered {
    peer: PeerId,
    channel: ResponseChannel<Answer>,
    answer: Answer,
}

impl Default for Joins {
    fn default() -> Self {
        Self {
            rate: TokenBucket::new(JOIN_RATE, Instant::now()),
            rate_per_peer: Buckets::new(JOIN_RATE_PER_PEER, MAX_JOIN_BUCKETS),
            rate_per_origin: Buckets::new(JOIN_RATE_PER_ORIGIN, MAX_JOIN_BUCKETS),
            thinking: FuturesUnordered::new(),
            thinking_for: HashMap::new(),
            dialling: HashMap::new(),
            asked: HashMap::new(),
        }
    }
}

impl Joins {
    /// The next answer of the daemon; never comes while nothing is asked.
    pub(super) async fn next_answer(&mut self) -> Answered {
        match self.thinking.next().await {
            Some(answered) => answered,
            None => pending().await,
        }
    }

    /// Whether a request from or to this peer is under way.
    pub(super) fn is_busy_with(&self, peer: &PeerId) -> bool {
        self.thinking_for.contains_key(peer)
            || self.asked.values().any(|(asked, reply)| asked == peer && !reply.is_closed())
    }
}

impl Driver {
    pub(super) fn start_join(&mut self, call: JoinCall, reply: OutReply) {
        let peer = peer_id_of(&call.peer).filter(|peer| peer != self.swarm.local_peer_id());
        let Some(peer) = peer else {
            let _ = reply.send(Err(JoinError::Key { key: call.peer }));
            return;
        };
        if self.joins.dialling.len() + self.joins.asked.len() >= MAX_JOINS_OUT {
            let _ = reply.send(Err(JoinError::BusyHere));
            return;
        }
        let out = Out { peer, bytes: call.bytes, reply };
        if self.swarm.is_connected(&peer) {
            return self.ask(out);
        }
        let mut addresses = call.addresses;
        addresses.truncate(MAX_ADDRESSES_PER_MEMBER);
        let addresses = quic_first(addresses);
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            .allocate_new_port()
            .build();
        let id = options.connection_id();
        self.joins.dialling.insert(id, out);
        if let Err(error) = self.swarm.dial(options) {
            self.on_join_dial_failed(id, peer, &error);
        }
    }

    pub(super) fn on_join_peer_connected(&mut self, peer: PeerId, id: ConnectionId) {
        // Any connection with the peer will do, also one that it made.
        let waiting =
            |(dial, out): (&ConnectionId, &Out)| (*dial == id || out.peer == peer).then_some(*dial);
        let ready: Vec<ConnectionId> = self.joins.dialling.iter().filter_map(waiting).collect();
        for dial in ready {
            if let Some(out) = self.joins.dialling.remove(&dial) {
                self.ask(out);
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
        if self.swarm.is_connected(&peer) {
            return self.ask(out);
        }
        let _ = out.reply.send(Err(match error {
            DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } => {
                JoinError::WrongPeer { address: address.clone() }
            }
            other => JoinError::Unreachable { reason: other.to_string() },
        }));
    }

    fn ask(&mut self, out: Out) {
        if out.reply.is_closed() {
            return;
        }
        self.guest_asked(&out.peer);
        self.counters.join.sent(REQUEST_HEADER_BYTES + out.bytes.len());
        let id = self.swarm.behaviour_mut().join.send_request(&out.peer, out.bytes);
        self.joins.asked.insert(id, (out.peer, out.reply));
    }

    pub(super) fn on_join_event(&mut self, event: JoinEvent) {
        match event {
            exchange::Event::Message { peer, message, connection_id } => match message {
                exchange::Message::Request { request, channel, .. } => {
                    let origin = self.swarm.behaviour().members.origin_of(connection_id);
                    self.on_join_request(peer, origin, request, channel);
                }
                exchange::Message::Response { request_id, response } => {
                    self.counters.join.received(response.wire_length());
                    let Some((_, reply)) = self.joins.asked.remove(&request_id) else { return };
                    let _ = reply.send(match response {
                        Answer::Accepted(bytes) => Ok(bytes),
                        Answer::Busy => Err(JoinError::Busy),
                        Answer::Declined => Err(JoinError::Declined),
                    });
                }
            },
            exchange::Event::OutboundFailure { request_id, error, .. } => {
                let Some((_, reply)) = self.joins.asked.remove(&request_id) else { return };
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
        self.counters.join.received(REQUEST_HEADER_BYTES + bytes.len());
        let Some(from) = identity_key_of(&peer) else { return };
        self.guest_asked(&peer);
        let now = Instant::now();
        let joins = &mut self.joins;
        // One peer's excess must not eat what all share, so its own buckets come first.
        let allowed = joins.rate_per_peer.take(peer, now)
            && origin.is_none_or(|origin| joins.rate_per_origin.take(origin, now))
            && joins.rate.take(now);
        let (reply, said) = oneshot::channel();
        let length = bytes.len();
        let taken = allowed
            && joins.thinking.len() < MAX_JOINS_PENDING
            && self.offer(
                None,
                None,
                length,
                NetEvent::JoinRequest { from, bytes, reply: JoinReply(reply) },
            );
        if !taken {
            return self.respond(channel, Answer::Busy);
        }
        *self.joins.thinking_for.entry(peer).or_default() += 1;
        let answer = async move {
            let answer = match timeout(JOIN_ANSWER_TIMEOUT, said).await {
                Ok(Ok(bytes)) if bytes.len() <= MAX_JOIN_REPLY_BYTES => Answer::Accepted(bytes),
                Ok(Ok(_)) | Ok(Err(_)) => Answer::Declined,
                Err(_) => Answer::Busy,
            };
            Answered { peer, channel, answer }
        };
        self.joins.thinking.push(answer.boxed());
    }

    pub(super) fn send_join_answer(&mut self, answered: Answered) {
        let Answered { peer, channel, answer } = answered;
        if let Some(count) = self.joins.thinking_for.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.joins.thinking_for.remove(&peer);
            }
        }
        self.respond(channel, answer);
    }

    fn respond(&mut self, channel: ResponseChannel<Answer>, answer: Answer) {
        let length = answer.wire_length();
        // An error means that the asker is gone.
        if self.swarm.behaviour_mut().join.send_response(channel, answer).is_ok() {
            self.counters.join.sent(length);
        }
    }
}
