//! Listening: addresses that cannot be listened on yet are retried with backoff, and no port is
//! shared with another process.

mod check;
mod claim;
mod listener;

use std::io;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::time::{Instant, timeout};

use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::connection_budget::is_exhausted;
use crate::error::StartError;
use crate::limits::LISTEN_RETRY_CAP;
use crate::state::{Repeated, StatePublisher, Waiting};

pub use check::check_listen;
use check::socket_of;
use claim::{describe, with_causes};
use listener::Listener;

/// Interfaces are reported one by one, loopback mostly first. Once one with a wider scope is
/// reported, the others follow within this time.
const INTERFACE_PAUSE: Duration = Duration::from_millis(100);
/// An interface with a wider scope than loopback is reported within this time, or there is none at
/// the moment.
const INTERFACE_TIMEOUT: Duration = Duration::from_secs(2);
/// Other events of the swarm that are kept during this wait; at this number the wait ends.
const MAX_EARLY_EVENTS: usize = 256;

type Event = SwarmEvent<BehaviourEvent>;

/// The listeners of all configured addresses.
pub(crate) struct Listeners {
    all: Vec<Listener>,
    repeated: Vec<Repeated>,
    state: StatePublisher,
    next_check: Instant,
}

impl Listeners {
    /// Nothing is listened on before [`Self::start`].
    ///
    /// # Errors
    /// [`StartError::Listen`]: an address that no retry can make usable.
    pub(crate) fn new(
        addresses: &[Multiaddr],
        local: PeerId,
        state: StatePublisher,
    ) -> Result<Self, StartError> {
        let mut sockets = Vec::with_capacity(addresses.len());
        for address in addresses {
            let socket = socket_of(address, Some(local))
                .map_err(|reason| StartError::Listen { address: address.clone(), reason })?;
            sockets.push((address.clone(), socket));
        }
        let (mut all, mut repeated) = (Vec::new(), Vec::new());
        for (place, (address, socket)) in sockets.iter().enumerate() {
            // Of two that include each other the first one is used.
            let mut others = sockets.iter().enumerate().filter(|(other, _)| *other != place);
            let covering = others.find(|(other, (text, its))| {
                let same = text == address || socket.covers(its) && its.covers(socket);
                if same { *other < place } else { its.covers(socket) }
            });
            match covering {
                Some((_, (covered_by, _))) => {
                    let (address, covered_by) = (address.clone(), covered_by.clone());
                    repeated.push(Repeated { address, covered_by });
                }
                None => all.push(Listener::new(address.clone(), *socket)),
            }
        }
        let next_check = Instant::now() + LISTEN_RETRY_CAP;
        Ok(Self { all, repeated, state, next_check })
    }

    /// Tries all addresses and waits a moment for the interfaces that the system reports. What
    /// fails is retried later. Returns the other events of the swarm meanwhile, which are the
    /// driver's.
    ///
    /// # Errors
    /// [`StartError::Listen`] if this process has no permission to listen there, which no retry
    /// changes.
    pub(crate) async fn start(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
    ) -> Result<Vec<Event>, StartError> {
        let now = Instant::now();
        for listener in &mut self.all {
            if let Err(error) = listener.listen(swarm, now)
                && error.kind() == io::ErrorKind::PermissionDenied
            {
                let address = listener.address.clone();
                return Err(StartError::Listen { address, reason: describe(&error) });
            }
        }
        let mut early = Vec::new();
        let settled = async {
            while early.len() < MAX_EARLY_EVENTS {
                if self.all.iter().all(Listener::is_final) {
                    return;
                }
                let is_settled = self.all.iter().all(Listener::is_settled);
                let pause = if is_settled { INTERFACE_PAUSE } else { INTERFACE_TIMEOUT };
                match timeout(pause, swarm.select_next_some()).await {
                    Ok(event) => early.extend(self.on_event(event)),
                    Err(_) => return,
                }
            }
        };
        // Every event restarts the pause, so the whole wait is bounded too. What was reported until
        // then is kept.
        let _ = timeout(INTERFACE_TIMEOUT, settled).await;
        self.publish();
        Ok(early)
    }

    /// When the next address is retried or checked.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.all.iter().filter_map(|listener| listener.next_retry(self.next_check)).min()
    }

    /// Retries those that are due, and checks whether the IP addresses of the others still exist.
    pub(crate) fn retry(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) {
        let mut has_changed = self.next_check <= now;
        if has_changed {
            self.next_check = now + LISTEN_RETRY_CAP;
            self.all.iter_mut().for_each(Listener::check);
        }
        for listener in &mut self.all {
            if listener.is_due(now) {
                // The error is kept in the listener's state.
                let _ = listener.listen(swarm, now);
                has_changed = true;
            }
        }
        if has_changed {
            self.publish();
        }
    }

    /// Handles the events of listeners; returns any other event.
    pub(crate) fn on_event(&mut self, event: Event) -> Option<Event> {
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                tracing::info!(%address, "listening");
                if let Some(reported) = self.reported_by(listener_id)
                    && !reported.contains(&address)
                {
                    reported.push(address);
                }
            }
            SwarmEvent::ExpiredListenAddr { listener_id, address } => {
                tracing::info!(%address, "no longer listening: its interface is gone");
                if let Some(reported) = self.reported_by(listener_id) {
                    reported.retain(|known| *known != address);
                }
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let reason = match reason {
                    Ok(()) => "its listener was closed".to_owned(),
                    Err(error) => with_causes(&error),
                };
                if let Some(listener) = self.all.iter_mut().find(|it| it.is(listener_id)) {
                    tracing::warn!(address = %listener.address, reason, "no longer listening");
                    listener.on_closed(reason, Instant::now());
                }
            }
            // One connection could not be accepted; the listener continues. The driver handles
            // exhausted descriptors.
            SwarmEvent::ListenerError { error, .. } if !is_exhausted(&error) => {
                tracing::warn!(error = with_causes(&error), "a connection could not be accepted");
                return None;
            }
            other => return Some(other),
        }
        self.publish();
        None
    }

    fn reported_by(&mut self, id: ListenerId) -> Option<&mut Vec<Multiaddr>> {
        self.all.iter_mut().find_map(|listener| listener.reported_by(id))
    }

    fn publish(&self) {
        self.state.change(|state| {
            state.listening.clear();
            state.waiting.clear();
            for listener in &self.all {
                match listener.addresses() {
                    Ok(addresses) => state.listening.extend(addresses.iter().cloned()),
                    Err(reason) => {
                        let (address, reason) = (listener.address.clone(), reason.to_owned());
                        state.waiting.push(Waiting { address, reason });
                    }
                }
            }
            state.repeated.clone_from(&self.repeated);
        });
    }
}
