//! The protocols of a node, put together: limits first, then what outsiders reach, then the rest.

use std::sync::Arc;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{connection_limits, identify, memory_connection_limits, ping};
use libp2p::{request_response as exchange, request_response::ProtocolSupport};

use crate::admission::Door;
use crate::announcing::Announcing;
use crate::codec::Codec;
use crate::config::Tuning;
use crate::descriptors::Room;
use crate::error::StartError;
use crate::gate::MembersOnly;
use crate::gossip;
use crate::limits;
use crate::presence::{Presence, SharedCopies};
use crate::protocols;
use crate::stats::Counters;

/// Everything. The first two refuse connections before the others hear of them.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    connection_limits: connection_limits::Behaviour,
    memory_limits: memory_connection_limits::Behaviour,
    pub(crate) join: exchange::Behaviour<Codec>,
    pub(crate) members: MembersOnly<MemberProtocols>,
}

/// What members speak with one another; an outsider is never offered any of it.
#[derive(NetworkBehaviour)]
pub(crate) struct MemberProtocols {
    pub(crate) gossip: Announcing,
    pub(crate) direct: exchange::Behaviour<Codec>,
    pub(crate) streams: libp2p_stream::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) presence: Presence,
    pub(crate) addresses: exchange::Behaviour<Codec>,
}

impl Behaviour {
    pub(crate) fn new(
        pair: &Keypair,
        counters: &Arc<Counters>,
        copies: SharedCopies,
        tuning: &Tuning,
        door: Door,
    ) -> Result<Self, StartError> {
        let join = exchange::Behaviour::with_codec(
            Codec {
                max_request_bytes: limits::MAX_JOIN_REQUEST_BYTES,
                max_answer_bytes: limits::MAX_JOIN_REPLY_BYTES,
            },
            [(protocols::JOIN, ProtocolSupport::Full)],
            exchange::Config::default()
                .with_request_timeout(limits::JOIN_TIMEOUT)
                .with_max_concurrent_streams(limits::MAX_JOIN_STREAMS),
        );
        let room = Room::of(tuning.max_descriptors);
        let presence = Presence::new(copies, tuning.stale_timeout);
        let protocols = MemberProtocols::new(pair, presence)?;
        Ok(Self {
            connection_limits: connection_limits::Behaviour::new(room.limits()),
            memory_limits: memory_connection_limits::Behaviour::with_max_percentage(
                limits::MAX_MEMORY_SHARE,
            ),
            join,
            members: MembersOnly::new(protocols, room.guests, counters.clone(), door),
        })
    }
}

impl MemberProtocols {
    fn new(pair: &Keypair, presence: Presence) -> Result<Self, StartError> {
        let direct = exchange::Behaviour::with_codec(
            Codec { max_request_bytes: limits::MAX_DIRECT_BYTES, max_answer_bytes: 0 },
            [(protocols::DIRECT, ProtocolSupport::Full)],
            exchange::Config::default()
                .with_request_timeout(limits::DIRECT_TIMEOUT)
                .with_max_concurrent_streams(limits::MAX_DIRECT_STREAMS),
        );
        // The library's own cache of addresses is off: the address book is ours alone.
        let identify = identify::Config::new(protocols::IDENTIFY.into(), pair.public())
            .with_agent_version(concat!("fedshield/", env!("CARGO_PKG_VERSION")).into())
            .with_push_listen_addr_updates(true)
            .with_cache_size(0);
        let ping = ping::Config::new()
            .with_interval(limits::PING_INTERVAL)
            .with_timeout(limits::PING_TIMEOUT);
        let addresses = exchange::Behaviour::with_codec(
            Codec {
                max_request_bytes: limits::MAX_ADDRESSES_ASK_BYTES,
                max_answer_bytes: limits::MAX_ADDRESSES_ANSWER_BYTES,
            },
            [(protocols::ADDRESSES, ProtocolSupport::Full)],
            exchange::Config::default()
                .with_request_timeout(limits::ADDRESSES_ASK_TIMEOUT)
                .with_max_concurrent_streams(limits::MAX_ADDRESSES_STREAMS),
        );
        Ok(Self {
            gossip: Announcing::new(gossip::behaviour(pair)?),
            direct,
            streams: libp2p_stream::Behaviour::new(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            presence,
            addresses,
        })
    }
}
