//! A libp2p node that does not run our code: any behaviour, over TCP, under a key of its own.

use std::time::Duration;

use fedshield_net::Multiaddr;
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, noise, tcp, yamux};

use crate::support::TCP;

/// A swarm that does not listen yet.
pub(crate) fn swarm_with<B: NetworkBehaviour>(pair: Keypair, behaviour: B) -> Swarm<B> {
    libp2p::SwarmBuilder::with_existing_identity(pair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
        .build()
}

/// A swarm for streams of any protocol.
pub(crate) fn stream_swarm() -> Swarm<libp2p_stream::Behaviour> {
    swarm_with(Keypair::generate_ed25519(), libp2p_stream::Behaviour::new())
}

/// Listens on loopback and returns the address.
pub(crate) async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    swarm.listen_on(TCP.parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

/// Polls the swarm until the test ends.
pub(crate) fn run<B>(mut swarm: Swarm<B>)
where
    B: NetworkBehaviour + Send + 'static,
    B::ToSwarm: Send,
{
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}
