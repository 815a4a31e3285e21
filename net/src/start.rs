//! Starting a node: keys, transport, listeners, tasks.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, swarm};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::address_book::AddressBook;
use crate::behaviour::Behaviour;
use crate::bulk::{Bulk, BulkSetup};
use crate::config::NetConfig;
use crate::connected::Connected;
use crate::driver::{Driver, Setup};
use crate::error::StartError;
use crate::event::NetEvent;
use crate::handle::NetHandle;
use crate::key::identity_key_of;
use crate::limits::{COMMAND_QUEUE, EVENT_QUEUE};
use crate::protocols;
use crate::stats::Counters;
use crate::tasks::Tasks;
use crate::transport;

/// A listener is up within this time or never.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections stay open; who has no business here is sent away by the driver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The network of one node.
#[derive(Debug)]
pub struct Net;

impl Net {
    /// Starts a node: when it returns, every address is listened on. Must be called inside a
    /// tokio runtime. Events must be read: while the queue is full the network waits.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(
        config: NetConfig,
    ) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), StartError> {
        let pair = config.identity.to_keypair()?;
        let peer = pair.public().to_peer_id();
        let local_key = identity_key_of(&peer).ok_or(StartError::Identity)?;
        let counters = Arc::new(Counters::default());
        let behaviour = Behaviour::new(&pair, &counters)?;
        let transport = transport::build(&pair, &counters.transport)?;
        let swarm_config =
            swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
        let mut swarm = Swarm::new(transport, behaviour, peer, swarm_config);
        let listening = listen(&mut swarm, &config.listen).await?;

        let control = swarm.behaviour_mut().members.inner().streams.new_control();
        let incoming = control
            .clone()
            .accept(protocols::BULK)
            .map_err(|error| StartError::Setup(error.to_string()))?;
        let (commands, commands_in) = mpsc::channel(COMMAND_QUEUE);
        let (events, events_out) = mpsc::channel(EVENT_QUEUE);
        let connected = Arc::new(Connected::default());
        let tasks = Tasks::new();
        let bulk = Bulk::start(BulkSetup {
            store: config.store,
            control,
            incoming,
            tuning: config.tuning.clone(),
            counters: counters.clone(),
            connected: connected.clone(),
            events: events.clone(),
            tasks: tasks.clone(),
        });
        let driver = Driver::new(Setup {
            swarm,
            commands: commands_in,
            events,
            book: AddressBook::new(peer, config.tuning.redial_base, config.tuning.redial_cap),
            bulk: bulk.clone(),
            counters: counters.clone(),
            connected: connected.clone(),
            tasks,
        });
        tokio::spawn(driver.run());
        let listening = listening.into();
        Ok((NetHandle { local_key, listening, commands, bulk, counters, connected }, events_out))
    }
}

async fn listen(
    swarm: &mut Swarm<Behaviour>,
    wanted: &[Multiaddr],
) -> Result<Vec<Multiaddr>, StartError> {
    let mut waiting = HashMap::new();
    for address in wanted {
        claim_port(address)?;
        let id = swarm.listen_on(address.clone()).map_err(|error| listen_error(address, &error))?;
        waiting.insert(id, address.clone());
    }
    let mut listening = Vec::new();
    let all_up = wait_for_listeners(swarm, &mut waiting, &mut listening);
    match timeout(LISTEN_TIMEOUT, all_up).await {
        Ok(outcome) => outcome.map(|()| listening),
        Err(_) => {
            let address = waiting.into_values().next().unwrap_or_else(Multiaddr::empty);
            let reason = format!("not up within {LISTEN_TIMEOUT:?}");
            Err(StartError::Listen { address, reason })
        }
    }
}

async fn wait_for_listeners(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut HashMap<ListenerId, Multiaddr>,
    listening: &mut Vec<Multiaddr>,
) -> Result<(), StartError> {
    while !waiting.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                tracing::info!(%address, "listening");
                waiting.remove(&listener_id);
                listening.push(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
            | SwarmEvent::ListenerError { listener_id, error } => {
                if let Some(address) = waiting.get(&listener_id) {
                    return Err(listen_error(address, &error));
                }
            }
            _ => {}
        }
    }
    Ok(())
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
