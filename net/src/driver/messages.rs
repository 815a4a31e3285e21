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
use crate::key::{identity_key_of, peer_id_of};
use crate::limits::MAX_GOSSIP_BYTES;

/// Who wants to know what became of a direct message.
pub(super) type Caller = Reply<Result<(), SendError>>;

/// A direct message whose receipt is not back yet.
pub(super) struct DirectOut {
    to: IdentityKey,
    callers: Vec<Caller>,
}

type DirectEvent = exchange::Event<Vec<u8>, Answer>;

impl Driver {
    pub(super) fn set_topic(&mut self, topic: IdentTopic) {
        let gossip = self.swarm.behaviour_mut().members.inner().gossip.inner();
        if let Some(old) = self.topic.take_if(|old| old.hash() != topic.hash()) {
            gossip.unsubscribe(&old);
        }
        match gossip.subscribe(&topic) {
            Ok(_) => self.topic = Some(topic),
            // Our own filter allows every topic.
            Err(error) => tracing::error!(%error, "cannot subscribe to the federation's topic"),
        }
    }

    pub(super) fn publish(&mut self, bytes: Vec<u8>) -> Result<(), GossipError> {
        let topic = self.topic.clone().ok_or(GossipError::NoFederation)?;
        let length = bytes.len();
        let gossip = self.swarm.behaviour_mut().members.inner().gossip.inner();
        match gossip.publish(topic, bytes) {
            Ok(_) => {
                self.counters.gossip.sent(length);
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
                self.watch.heard(propagation_source);
                let acceptance = self.judge(propagation_source, message);
                let gossip = self.swarm.behaviour_mut().members.inner().gossip.inner();
                gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            gossipsub::Event::Subscribed { peer_id, .. } => self.watch.heard(peer_id),
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a member does not keep up with gossip");
            }
            _ => {}
        }
    }

    fn judge(&mut self, passed_on_by: PeerId, message: Message) -> MessageAcceptance {
        let members = &self.swarm.behaviour().members;
        let author = message.source.filter(|author| members.is_member(author));
        let keys = (identity_key_of(&passed_on_by), author.as_ref().and_then(identity_key_of));
        let ((Some(from), Some(author)), Some(author_peer)) = (keys, author) else {
            self.counters.dropped();
            return MessageAcceptance::Reject;
        };
        if message.data.len() > MAX_GOSSIP_BYTES {
            self.counters.dropped();
            return MessageAcceptance::Reject;
        }
        if !self.gossip_rate.take((author_peer, passed_on_by), Instant::now()) {
            self.counters.dropped();
            return MessageAcceptance::Ignore;
        }
        self.counters.gossip.received(message.data.len());
        let length = message.data.len();
        let event = NetEvent::Gossip { from, author, bytes: message.data };
        match self.offer(Some(passed_on_by), Some(author_peer), length, event) {
            true => MessageAcceptance::Accept,
            false => MessageAcceptance::Ignore,
        }
    }

    pub(super) fn send_direct(&mut self, to: IdentityKey, bytes: Vec<u8>, caller: Caller) {
        if !self.connected.contains(&to) {
            let _ = caller.send(Err(SendError::NotConnected { to }));
            return;
        }
        for (to, gone) in self.outbox.push(to, bytes, caller, Instant::now()) {
            let _ = gone.send(Err(SendError::Busy { to }));
        }
        self.send_letters(to);
    }

    /// Sends as much of what waits for a member as may be under way.
    fn send_letters(&mut self, to: IdentityKey) {
        let Some(peer) = peer_id_of(&to) else { return };
        while let Some(letter) = self.outbox.next(&to) {
            self.counters.direct.sent(REQUEST_HEADER_BYTES + letter.bytes.len());
            let direct = &mut self.swarm.behaviour_mut().members.inner().direct;
            let id = direct.send_request(&peer, letter.bytes);
            self.direct_out.insert(id, DirectOut { to, callers: letter.callers });
        }
    }

    /// The last connection of a member is gone, and what waits for it with it.
    pub(super) fn return_letters(&mut self, to: IdentityKey) {
        for caller in self.outbox.close(&to) {
            let _ = caller.send(Err(SendError::NotConnected { to }));
        }
    }

    /// What waits for those that are no members.
    pub(super) fn forget_letters(&mut self, members: &[IdentityKey]) {
        for (to, caller) in self.outbox.retain(members) {
            let _ = caller.send(Err(SendError::NotConnected { to }));
        }
    }

    fn letter_ended(&mut self, id: exchange::OutboundRequestId, outcome: &Result<(), SendError>) {
        let Some(out) = self.direct_out.remove(&id) else { return };
        for caller in out.callers {
            let _ = caller.send(outcome.clone());
        }
        self.outbox.ended(&out.to);
        self.send_letters(out.to);
    }

    pub(super) fn on_direct(&mut self, event: DirectEvent) {
        match event {
            exchange::Event::Message { peer, message, .. } => match message {
                exchange::Message::Request { request, channel, .. } => {
                    self.on_direct_request(peer, request, channel);
                }
                exchange::Message::Response { request_id, response } => {
                    self.counters.direct.received(response.wire_length());
                    let Some(to) = self.direct_out.get(&request_id).map(|out| out.to) else {
                        return;
                    };
                    let outcome = match response {
                        Answer::Accepted(_) => Ok(()),
                        Answer::Busy | Answer::Declined => Err(SendError::Busy { to }),
                    };
                    self.letter_ended(request_id, &outcome);
                }
            },
            exchange::Event::OutboundFailure { request_id, error, .. } => {
                let Some(to) = self.direct_out.get(&request_id).map(|out| out.to) else { return };
                let reason = error.to_string();
                self.letter_ended(request_id, &Err(SendError::Lost { to, reason }));
            }
            exchange::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "direct message failed");
            }
            exchange::Event::ResponseSent { .. } => {
                self.counters.direct.sent(ANSWER_HEADER_BYTES);
            }
        }
    }

    fn on_direct_request(
        &mut self,
        peer: PeerId,
        bytes: Vec<u8>,
        channel: exchange::ResponseChannel<Answer>,
    ) {
        self.counters.direct.received(REQUEST_HEADER_BYTES + bytes.len());
        let Some(from) = identity_key_of(&peer) else { return };
        let taken = self.direct_rate.take(peer, Instant::now());
        if !taken {
            self.counters.dropped();
        }
        let length = bytes.len();
        let taken =
            taken && self.offer(Some(peer), Some(peer), length, NetEvent::Direct { from, bytes });
        let answer = if taken { Answer::Accepted(Vec::new()) } else { Answer::Busy };
        let direct = &mut self.swarm.behaviour_mut().members.inner().direct;
        // An error means that the sender is gone.
        let _ = direct.send_response(channel, answer);
    }
}
