//! Announcements: gossipsub, signed, on one topic per federation.

use fedshield_protocol::ids::Digest;
use libp2p::PeerId;
use libp2p::gossipsub::{
    AllowAllSubscriptionFilter, Behaviour, Config, ConfigBuilder, IdentTopic, IdentityTransform,
    MaxCountSubscriptionFilter, Message, MessageAuthenticity, MessageId, ValidationMode,
};
use libp2p::identity::Keypair;

use crate::error::StartError;
use crate::limits::{
    GOSSIP_ENVELOPE_BYTES, GOSSIP_MEMORY, GOSSIP_READ_AHEAD_BYTES, MAX_GOSSIP_BYTES,
    MAX_GOSSIP_NAMES, MAX_GOSSIP_QUEUE, MAX_TOPICS_PER_PEER,
};
use crate::protocols::GOSSIP_PREFIX;

/// Gossipsub with a bound on the topics that a peer may make us remember.
pub(crate) type Gossip =
    Behaviour<IdentityTransform, MaxCountSubscriptionFilter<AllowAllSubscriptionFilter>>;

/// The topic of a federation.
pub(crate) fn topic_of(federation: &Digest) -> IdentTopic {
    IdentTopic::new(format!("fedshield/1/{federation}"))
}

/// Announcements are told apart by author, number and content. The number makes what an author says
/// again travel again: a repetition is how lost messages are repaired, and who comes back hears
/// it. The content makes two announcements under one number, a lie, reach all members.
fn announcement_id(message: &Message) -> MessageId {
    let author = message.source.map(PeerId::to_bytes).unwrap_or_default();
    let mut digest = blake3::Hasher::new_derive_key("fedshield v1 announcement id");
    digest.update(&message.sequence_number.unwrap_or_default().to_le_bytes());
    digest.update(&(author.len() as u64).to_le_bytes());
    digest.update(&author);
    digest.update(&message.data);
    MessageId::new(digest.finalize().as_bytes())
}

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
        // We look at author and size before anything is passed on.
        .validate_messages()
        .message_id_fn(announcement_id)
        // What a single message exceeds is found out by us.
        .max_transmit_size(MAX_GOSSIP_BYTES + GOSSIP_ENVELOPE_BYTES + GOSSIP_READ_AHEAD_BYTES)
        .max_control_messages_sent(MAX_GOSSIP_NAMES)
        .duplicate_cache_time(GOSSIP_MEMORY)
        .connection_handler_queue_len(MAX_GOSSIP_QUEUE)
        .build()
        .map_err(|error| StartError::Setup(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The other side ends the stream of whoever sends more.
    #[test]
    fn a_list_of_names_is_never_longer_than_what_is_taken() {
        let config = config().unwrap();
        let (name, topic) = (2 + blake3::OUT_LEN, topic_of(&Digest([7; 32])).hash().as_str().len());
        let list = config.max_control_messages_sent() * name + topic + 16;
        assert!(list <= config.max_control_message_size(), "{list} bytes");
        assert!(list <= MAX_GOSSIP_BYTES + GOSSIP_ENVELOPE_BYTES, "{list} bytes");
    }
}
