//! Announcements: gossipsub with signed messages, on one topic per federation.

use fedshield_protocol::ids::FederationId;
use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{
    AllowAllSubscriptionFilter, Behaviour, Config, ConfigBuilder, IdentTopic, IdentityTransform,
    MaxCountSubscriptionFilter, Message, MessageAuthenticity, MessageId, ValidationMode,
};
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::ConnectionEstablished;
use libp2p::swarm::{ConnectionId, FromSwarm, NetworkBehaviour};

use crate::error::StartError;
use crate::limits::{
    GOSSIP_DUPLICATE_CACHE, GOSSIP_ENVELOPE_BYTES, GOSSIP_READ_AHEAD_BYTES, MAX_GOSSIP_BYTES,
    MAX_GOSSIP_IDS, MAX_GOSSIP_QUEUE, MAX_TOPICS_PER_PEER,
};
use crate::protocols::GOSSIP_PREFIX;

/// Gossipsub with a bound on the topics that a peer may subscribe to.
pub(crate) type Gossip =
    Behaviour<IdentityTransform, MaxCountSubscriptionFilter<AllowAllSubscriptionFilter>>;

/// The topic of a federation.
pub(crate) fn topic_of(federation: &FederationId) -> IdentTopic {
    IdentTopic::new(format!("fedshield/1/{federation}"))
}

/// Message ids cover sender, sequence number and content. The sequence number lets a sender send
/// the same content again: retransmission is how lost messages are repaired, and how a member that
/// reconnects receives them. The content makes two announcements under one sequence number, an
/// equivocation, reach all members.
fn announcement_id(message: &Message) -> MessageId {
    let sender = message.source.map(PeerId::to_bytes).unwrap_or_default();
    let mut digest = blake3::Hasher::new_derive_key("fedshield v1 announcement id");
    digest.update(&message.sequence_number.unwrap_or_default().to_le_bytes());
    digest.update(&(sender.len() as u64).to_le_bytes());
    digest.update(&sender);
    digest.update(&message.data);
    MessageId::new(digest.finalize().as_bytes())
}

/// Announces our subscriptions to a connected `peer` again; `id` and `endpoint` are those of any of
/// its connections.
///
/// Gossipsub announces them once for each peer, over its first connection. A peer that was
/// restarted while we still hold its old connection makes a second one, would never learn of our
/// subscription and send us nothing. And of several connections any may take an announcement from
/// gossipsub's queue: what a dead one took is lost. Gossipsub has no call for this; but all that it
/// does on a first connection without peer scores is to announce (`behaviour.rs` of 0.50,
/// `on_connection_established`), so a connection is presented to it as the first one.
pub(crate) fn announce_subscriptions(
    gossip: &mut Gossip,
    peer: PeerId,
    id: ConnectionId,
    endpoint: &ConnectedPoint,
) {
    gossip.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
        peer_id: peer,
        connection_id: id,
        endpoint,
        failed_addresses: &[],
        other_established: 0,
    }));
}

/// Gossipsub for the node with this key pair.
///
/// # Errors
/// [`StartError::Setup`] if the library refuses the settings.
pub(crate) fn behaviour(pair: &Keypair) -> Result<Gossip, StartError> {
    let filter = MaxCountSubscriptionFilter {
        filter: AllowAllSubscriptionFilter {},
        max_subscribed_topics: MAX_TOPICS_PER_PEER,
        max_subscriptions_per_request: MAX_TOPICS_PER_PEER,
    };
    let keys = MessageAuthenticity::Signed(pair.clone());
    Behaviour::new_with_subscription_filter(keys, config()?, filter)
        .map_err(|error| StartError::Setup(error.into()))
}

fn config() -> Result<Config, StartError> {
    ConfigBuilder::default()
        .protocol_id_prefix(GOSSIP_PREFIX)
        .validation_mode(ValidationMode::Strict)
        // Author and size are checked before anything is forwarded.
        .validate_messages()
        .message_id_fn(announcement_id)
        // Bounds all that is read at once; the driver checks the size of each single message.
        .max_transmit_size(MAX_GOSSIP_BYTES + GOSSIP_ENVELOPE_BYTES + GOSSIP_READ_AHEAD_BYTES)
        .max_control_messages_sent(MAX_GOSSIP_IDS)
        .duplicate_cache_time(GOSSIP_DUPLICATE_CACHE)
        .connection_handler_queue_len(MAX_GOSSIP_QUEUE)
        .build()
        .map_err(|error| StartError::Setup(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer ends the stream of a node that sends more.
    #[test]
    fn a_list_of_message_ids_fits_into_one_control_message() {
        let config = config().unwrap();
        let (id, topic) =
            (2 + blake3::OUT_LEN, topic_of(&FederationId([7; 32])).hash().as_str().len());
        let list = config.max_control_messages_sent() * id + topic + 16;
        assert!(list <= config.max_control_message_size(), "{list} bytes");
        assert!(list <= MAX_GOSSIP_BYTES + GOSSIP_ENVELOPE_BYTES, "{list} bytes");
    }
}
