//! Announcements and direct messages.

use fedshield_protocol::ids::IdentityKey;
use libp2p::PeerId;
use libp2p::gossipsub::{self, IdentTopic, Message, MessageAcceptance, PublishError};
use libp2p::request_response as exchange;
use tokio::time::Instant;

use super::Driver;
use crate::codec::{ANSWER_HEADER_BYTES, Answer, REQUEST_HEADER_BYTES};
use crate::command::Reply;
use crate::error::{GossipError, SendError};
use crate::event::NetEvent;
use crate::inbound_queue::Source;
use crate::key::{identity_key_of, peer_id_of};
use crate::limits::MAX_GOSSIP_BYTES;

/// Where the outcome of a direct message goes.
pub(super) type Caller = Reply<Result<(), SendError>>;

/// A direct message whose receipt has not arrived yet.
pub(super) struct DirectInFlight {
    to: IdentityKey,
    callers: Vec<Caller>,
}

type DirectEvent = exchange::Event<Vec<u8>, Answer>;

impl Driver {
    pub(super) fn set_topic(&mut self, topic: IdentTopic) {
        let old = self.topic.take_if(|old| old.hash() != topic.hash());
        let gossip = &mut self.member_protocols().gossip;
        if let Some(old) = old {
            gossip.unsubscribe(&old);
        }
        match gossip.subscribe(&topic) {
            Ok(_) => self.topic = Some(topic),
            // Cannot happen: our own filter allows every topic.
            Err(error) => tracing::error!(%error, "cannot subscribe to the federation's topic"),
        }
    }

    pub(super) fn publish(&mut self, bytes: Vec<u8>) -> Result<(), GossipError> {
        let topic = self.topic.clone().ok_or(GossipError::NoFederation)?;
        let length = bytes.len();
        let gossip = &mut self.member_protocols().gossip;
        match gossip.publish(topic, bytes) {
            Ok(_) => {
                self.parts.counters.gossip.sent(length);
                Ok(())
            }
            Err(PublishError::NoPeersSubscribedToTopic) => Err(GossipError::NoPeers),
            Err(PublishError::MessageTooLarge) => {
                Err(GossipError::TooLarge { length, max: MAX_GOSSIP_BYTES })
            }
            Err(error) => {
                tracing::debug!(%error, "announcement not sent");
                Err(GossipError::Busy)
            }
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.parts.presence.note_gossip(propagation_source);
                let acceptance = self.validate(propagation_source, message);
                let gossip = &mut self.member_protocols().gossip;
                gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            gossipsub::Event::Subscribed { peer_id, .. } => {
                self.parts.presence.note_gossip(peer_id)
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a member reads gossip too slowly");
            }
            _ => {}
        }
    }

    fn validate(&mut self, forwarder: PeerId, message: Message) -> MessageAcceptance {
        let members = &self.parts.swarm.behaviour().members;
        let sender = message.source.filter(|sender| members.is_member(sender));
        let keys = (identity_key_of(&forwarder), sender.as_ref().and_then(identity_key_of));
        let ((Some(from), Some(sender)), Some(sender_peer)) = (keys, sender) else {
            self.parts.counters.dropped();
            return MessageAcceptance::Reject;
        };
        if message.data.len() > MAX_GOSSIP_BYTES {
            self.parts.counters.dropped();
            return MessageAcceptance::Reject;
        }
        if !self.gossip_rate.take((sender_peer, forwarder), Instant::now()) {
            self.parts.counters.dropped();
            return MessageAcceptance::Ignore;
        }
        self.parts.counters.gossip.received(message.data.len());
        let length = message.data.len();
        let event = NetEvent::Gossip { from, sender, bytes: message.data };
        let source = Source::Member { forwarder, sender: sender_peer };
        match self.offer_event(source, length, event) {
            true => MessageAcceptance::Accept,
            false => MessageAcceptance::Ignore,
        }
    }

    pub(super) fn send_direct(&mut self, to: IdentityKey, bytes: Vec<u8>, caller: Caller) {
        if !self.parts.connected.contains(&to) {
            let _ = caller.send(Err(SendError::NotConnected { to }));
            return;
        }
        for (to, dropped) in self.outbound.push(to, bytes, caller, Instant::now()) {
            let _ = dropped.send(Err(SendError::Busy { to }));
        }
        self.send_queued(to);
    }

    /// Sends queued messages to a member as long as its window has room.
    fn send_queued(&mut self, to: IdentityKey) {
        let Some(peer) = peer_id_of(&to) else { return };
        while let Some(message) = self.outbound.next(&to) {
            self.parts.counters.direct.sent(REQUEST_HEADER_BYTES + message.bytes.len());
            let direct = &mut self.member_protocols().direct;
            let id = direct.send_request(&peer, message.bytes);
            self.direct_in_flight.insert(id, DirectInFlight { to, callers: message.callers });
        }
    }

    /// The last connection of a member is closed: its queued messages fail.
    pub(super) fn fail_queued_messages(&mut self, to: IdentityKey) {
        for caller in self.outbound.close(&to) {
            let _ = caller.send(Err(SendError::NotConnected { to }));
        }
    }

    /// Drops the queues of those that are not members.
    pub(super) fn drop_queues_of_others(&mut self, members: &[IdentityKey]) {
        for (to, caller) in self.outbound.retain(members) {
            let _ = caller.send(Err(SendError::NotConnected { to }));
        }
    }

    fn on_direct_ended(
        &mut self,
        id: exchange::OutboundRequestId,
        outcome: &Result<(), SendError>,
    ) {
        let Some(out) = self.direct_in_flight.remove(&id) else { return };
        for caller in out.callers {
            let _ = caller.send(outcome.clone());
        }
        self.outbound.ended(&out.to);
        self.send_queued(out.to);
    }

    pub(super) fn on_direct(&mut self, event: DirectEvent) {
        match event {
            exchange::Event::Message { peer, message, .. } => match message {
                exchange::Message::Request { request, channel, .. } => {
                    self.on_direct_request(peer, request, channel);
                }
                exchange::Message::Response { request_id, response } => {
                    self.parts.counters.direct.received(response.wire_length());
                    let Some(to) = self.direct_in_flight.get(&request_id).map(|out| out.to) else {
                        return;
                    };
                    let outcome = match response {
                        Answer::Accepted(_) => Ok(()),
                        Answer::Busy | Answer::Declined => Err(SendError::Busy { to }),
                    };
                    self.on_direct_ended(request_id, &outcome);
                }
            },
            exchange::Event::OutboundFailure { request_id, error, .. } => {
                let Some(to) = self.direct_in_flight.get(&request_id).map(|out| out.to) else {
                    return;
                };
                let reason = error.to_string();
                self.on_direct_ended(request_id, &Err(SendError::Lost { to, reason }));
            }
            exchange::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "direct message failed");
            }
            exchange::Event::ResponseSent { .. } => {
                self.parts.counters.direct.sent(ANSWER_HEADER_BYTES);
            }
        }
    }

    fn on_direct_request(
        &mut self,
        peer: PeerId,
        bytes: Vec<u8>,
        channel: exchange::ResponseChannel<Answer>,
    ) {
        self.parts.counters.direct.received(REQUEST_HEADER_BYTES + bytes.len());
        let Some(from) = identity_key_of(&peer) else { return };
        let taken = self.direct_rate.take(peer, Instant::now());
        if !taken {
            self.parts.counters.dropped();
        }
        let length = bytes.len();
        let source = Source::Member { forwarder: peer, sender: peer };
        let taken = taken && self.offer_event(source, length, NetEvent::Direct { from, bytes });
        let answer = if taken { Answer::Accepted(Vec::new()) } else { Answer::Busy };
        let direct = &mut self.member_protocols().direct;
        // An error means that the connection is closed.
        let _ = direct.send_response(channel, answer);
    }
}
