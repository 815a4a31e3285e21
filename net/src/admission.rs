//! How often one address may knock, before any handshake is paid for.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::limits::{INBOUND_RATE, MAX_INBOUND_BUCKETS};
use crate::rate::Buckets;
use crate::stats::Counters;

#[derive(Debug, thiserror::Error)]
#[error("too many connections from {from}")]
struct TooOften {
    from: Multiaddr,
}

/// Refuses inbound connections from an address that opens too many.
pub(crate) struct Admission {
    buckets: Buckets<u64>,
    counters: Arc<Counters>,
}

impl Admission {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { buckets: Buckets::new(INBOUND_RATE, MAX_INBOUND_BUCKETS), counters }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself.
fn origin(address: &Multiaddr) -> u64 {
    let ip = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
        _ => None,
    });
    match ip {
        Some(IpAddr::V4(ip)) => u64::from(u32::from(ip)),
        // The upper half; no routable prefix is as small as an IPv4 address.
        Some(IpAddr::V6(ip)) => (u128::from(ip) >> 64) as u64 | 1 << 63,
        None => u64::MAX,
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.buckets.take(origin(remote), Instant::now()) {
            return Ok(());
        }
        self.counters.refused_connection();
        Err(ConnectionDenied::new(TooOften { from: remote.clone() }))
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_and_ports_are_not() {
        let of = |text: &str| origin(&text.parse().unwrap());
        assert_eq!(of("/ip4/10.0.0.1/tcp/1"), of("/ip4/10.0.0.1/udp/2/quic-v1"));
        assert_ne!(of("/ip4/10.0.0.1/tcp/1"), of("/ip4/10.0.0.2/tcp/1"));
        assert_eq!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8::2/tcp/1"));
        assert_ne!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_eq!(of("/ip6/::ffff:10.0.0.1/tcp/1"), of("/ip4/10.0.0.1/tcp/1"));
    }
}
