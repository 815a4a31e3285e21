//! Listening: ports claimed, listeners up, and the addresses of all interfaces known before anyone is told of them.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};
use tokio::time::timeout;

use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::error::StartError;
use crate::reach::{Reach, reach_of};

/// A listener is up within this time or never.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Interfaces are reported one by one, loopback mostly first. When one that others reach is there, the rest follow within
/// this time.
const INTERFACE_PAUSE: Duration = Duration::from_millis(100);
/// An interface that others reach is reported within this time, or the machine has none at the moment.
const INTERFACE_TIMEOUT: Duration = Duration::from_secs(2);
/// What may happen while we wait for interfaces; with more the wait is over.
const MAX_EARLY_EVENTS: usize = 256;

/// What is known once a node listens.
pub(crate) struct Listening {
    /// With real ports; for all interfaces, one address for each.
    pub(crate) addresses: Vec<Multiaddr>,
    /// What happened meanwhile, connections above all: for the driver.
    pub(crate) early: Vec<SwarmEvent<BehaviourEvent>>,
}

/// Listens on all of `wanted`.
pub(crate) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    wanted: &[Multiaddr],
) -> Result<Listening, StartError> {
    let mut waiting = HashMap::new();
    for address in wanted {
        claim_port(address)?;
        let id = swarm.listen_on(address.clone()).map_err(|error| listen_error(address, &error))?;
        waiting.insert(id, address.clone());
    }
    let mut listening = Listening { addresses: Vec::new(), early: Vec::new() };
    let all_up = listening.all_up(swarm, &mut waiting);
    match timeout(LISTEN_TIMEOUT, all_up).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            let address = waiting.into_values().next().unwrap_or_else(Multiaddr::empty);
            let reason = format!("not up within {LISTEN_TIMEOUT:?}");
            return Err(StartError::Listen { address, reason });
        }
    }
    if wanted.iter().any(is_every_interface) {
        listening.all_interfaces(swarm).await;
    }
    Ok(listening)
}

impl Listening {
    async fn all_up(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        waiting: &mut HashMap<ListenerId, Multiaddr>,
    ) -> Result<(), StartError> {
        while !waiting.is_empty() {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    waiting.remove(&listener_id);
                    self.add(address);
                }
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
                | SwarmEvent::ListenerError { listener_id, error }
                    if waiting.contains_key(&listener_id) =>
                {
                    let address = waiting.remove(&listener_id).unwrap_or_else(Multiaddr::empty);
                    return Err(listen_error(&address, &error));
                }
                event => self.early.push(event),
            }
        }
        Ok(())
    }

    /// Waits until the interfaces are there: an invite that names only loopback leads nowhere.
    async fn all_interfaces(&mut self, swarm: &mut Swarm<Behaviour>) {
        let settled = async {
            while self.early.len() < MAX_EARLY_EVENTS {
                let reached = self.addresses.iter().any(|address| reach_of(address) > Reach::Link);
                let patience = if reached { INTERFACE_PAUSE } else { INTERFACE_TIMEOUT };
                match timeout(patience, swarm.select_next_some()).await {
                    Ok(SwarmEvent::NewListenAddr { address, .. }) => self.add(address),
                    Ok(event) => self.early.push(event),
                    Err(_) => return,
                }
            }
        };
        // Other events start the pause anew, but not for ever. What was found until then stays.
        let _ = timeout(INTERFACE_TIMEOUT, settled).await;
    }

    fn add(&mut self, address: Multiaddr) {
        tracing::info!(%address, "listening");
        self.addresses.push(address);
    }
}

fn is_every_interface(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    }
}

/// Makes sure that a port is free. libp2p listens on TCP with SO_REUSEPORT, so a second process of
/// the same user would be let in, and the kernel would deal connections to both at random.
fn claim_port(address: &Multiaddr) -> Result<(), StartError> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    // Closed again at once: the library's own socket follows.
    let claimed = match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        Some(Protocol::Udp(port)) if port != 0 => UdpSocket::bind((ip, port)).map(drop),
        _ => return Ok(()),
    };
    match claimed {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(StartError::AddressInUse { address: address.clone() })
        }
        Err(error) => Err(listen_error(address, &error)),
        Ok(()) => Ok(()),
    }
}

fn listen_error(address: &Multiaddr, error: &(dyn Error + 'static)) -> StartError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reason = format!("{reason}: {error}");
        source = error.source();
    }
    StartError::Listen { address: address.clone(), reason }
}
