//! The composition of a node's protocols: limits first, then the join protocol for anyone, then
//! those for members.

use std::sync::Arc;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{connection_limits, identify, memory_connection_limits, ping};
use libp2p::{request_response as exchange, request_response::ProtocolSupport};

use crate::admission::AdmissionControl;
use crate::codec::Codec;
use crate::config::Tuning;
use crate::connection_budget::ConnectionBudget;
use crate::error::StartError;
use crate::gossip::{self, Gossip};
use crate::limits;
use crate::members_only::MembersOnly;
use crate::presence::{Presence, SharedInstances};
use crate::protocols;
use crate::stats::Counters;

/// All protocols. The first two refuse connections before the others are told of them.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    connection_limits: connection_limits::Behaviour,
    memory_limits: memory_connection_limits::Behaviour,
    pub(crate) join: exchange::Behaviour<Codec>,
    pub(crate) members: MembersOnly<MemberProtocols>,
}

/// The protocols of members, which are never offered to a non-member.
#[derive(NetworkBehaviour)]
pub(crate) struct MemberProtocols {
    pub(crate) gossip: Gossip,
    pub(crate) direct: exchange::Behaviour<Codec>,
    pub(crate) streams: libp2p_stream::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) presence: Presence,
    pub(crate) records: exchange::Behaviour<Codec>,
}

impl Behaviour {
    pub(crate) fn new(
        pair: &Keypair,
        counters: &Arc<Counters>,
        instances: SharedInstances,
        tuning: &Tuning,
        admission: AdmissionControl,
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
        let budget = ConnectionBudget::of(tuning.max_descriptors);
        let presence = Presence::new(instances, tuning.stale_timeout);
        let protocols = MemberProtocols::new(pair, presence)?;
        Ok(Self {
            connection_limits: connection_limits::Behaviour::new(budget.limits()),
            memory_limits: memory_connection_limits::Behaviour::with_max_percentage(
                limits::MAX_MEMORY_SHARE,
            ),
            join,
            members: MembersOnly::new(protocols, budget.non_members, counters.clone(), admission),
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
        // The library's own address cache is disabled: addresses are in our address book.
        let identify = identify::Config::new(protocols::IDENTIFY.into(), pair.public())
            .with_agent_version(concat!("fedshield/", env!("CARGO_PKG_VERSION")).into())
            .with_push_listen_addr_updates(true)
            .with_cache_size(0);
        let ping = ping::Config::new()
            .with_interval(limits::PING_INTERVAL)
            .with_timeout(limits::PING_TIMEOUT);
        let records = exchange::Behaviour::with_codec(
            Codec {
                max_request_bytes: limits::MAX_RECORD_REQUEST_BYTES,
                max_answer_bytes: limits::MAX_RECORD_RESPONSE_BYTES,
            },
            [(protocols::RECORDS, ProtocolSupport::Full)],
            exchange::Config::default()
                .with_request_timeout(limits::RECORD_REQUEST_TIMEOUT)
                .with_max_concurrent_streams(limits::MAX_RECORD_STREAMS),
        );
        Ok(Self {
            gossip: gossip::behaviour(pair)?,
            direct,
            streams: libp2p_stream::Behaviour::new(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            presence,
            records,
        })
    }
}
