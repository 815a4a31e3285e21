//! Listening: what cannot be listened on yet is tried again until it can, and nobody else's port is shared.

mod check;

use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::time::{Instant, timeout};

use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::descriptors::is_exhausted;
use crate::error::StartError;
use crate::limits::{LISTEN_RETRY_BASE, LISTEN_RETRY_CAP};
use crate::reach::{Reach, reach_of};
use crate::state::{Repeated, StateBoard, Waiting};

pub use check::check_listen;
use check::{Socket, socket_of};

/// Interfaces are reported one by one, loopback mostly first. When one that others reach is there, the rest follow within
/// this time.
const INTERFACE_PAUSE: Duration = Duration::from_millis(100);
/// An interface that others reach is reported within this time, or the machine has none at the moment.
const INTERFACE_TIMEOUT: Duration = Duration::from_secs(2);
/// What may happen while we wait for interfaces; with more the wait is over.
const MAX_EARLY_EVENTS: usize = 256;

type Event = SwarmEvent<BehaviourEvent>;

/// All addresses that were asked for, and how each of them stands.
pub(crate) struct Listeners {
    wanted: Vec<Wanted>,
    repeated: Vec<Repeated>,
    board: StateBoard,
    next_look: Instant,
}

struct Wanted {
    address: Multiaddr,
    socket: Socket,
    state: State,
}

enum State {
    /// The socket is there. Addresses are reported one by one, and go when an interface goes. Nobody reports when the one
    /// IP address goes that was asked for, so that is looked at: the socket stays, and works again when it is back.
    Up {
        id: ListenerId,
        reported: Vec<Multiaddr>,
        is_gone: bool,
    },
    Down {
        reason: String,
        failures: u32,
        retry_at: Instant,
    },
}

impl Listeners {
    /// Nothing is listened on before [`Self::retry`].
    ///
    /// # Errors
    /// [`StartError::Listen`]: an address that no waiting will make good.
    pub(crate) fn new(
        wanted: &[Multiaddr],
        local: PeerId,
        board: StateBoard,
    ) -> Result<Self, StartError> {
        let mut sockets = Vec::with_capacity(wanted.len());
        for address in wanted {
            let socket = socket_of(address, Some(local))
                .map_err(|reason| StartError::Listen { address: address.clone(), reason })?;
            sockets.push((address.clone(), socket));
        }
        let (wanted, repeated) = (Vec::new(), Vec::new());
        let next_look = Instant::now() + LISTEN_RETRY_CAP;
        let mut listeners = Self { wanted, repeated, board, next_look };
        for (place, (address, socket)) in sockets.iter().enumerate() {
            // Of two that cover each other the first one counts.
            let mut others = sockets.iter().enumerate().filter(|(other, _)| *other != place);
            let covering = others.find(|(other, (text, its))| {
                let same = text == address || socket.covers(its) && its.covers(socket);
                if same { *other < place } else { its.covers(socket) }
            });
            match covering {
                Some((_, (covered_by, _))) => listeners
                    .repeated
                    .push(Repeated { address: address.clone(), covered_by: covered_by.clone() }),
                None => listeners.wanted.push(Wanted {
                    address: address.clone(),
                    socket: *socket,
                    state: State::Down {
                        reason: "not tried yet".into(),
                        failures: 0,
                        retry_at: Instant::now(),
                    },
                }),
            }
        }
        Ok(listeners)
    }

    /// Tries all addresses and waits a moment for what the system reports of them. What is missing is tried again later.
    /// Gives back what else happened, connections above all: for the driver.
    ///
    /// # Errors
    /// [`StartError::Listen`] if this process may not listen there: waiting gives nobody a right.
    pub(crate) async fn start(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
    ) -> Result<Vec<Event>, StartError> {
        let now = Instant::now();
        for wanted in &mut self.wanted {
            if let Err(error) = wanted.listen(swarm, now)
                && error.kind() == io::ErrorKind::PermissionDenied
            {
                let address = wanted.address.clone();
                return Err(StartError::Listen { address, reason: plain(&error) });
            }
        }
        let mut early = Vec::new();
        let settled = async {
            while early.len() < MAX_EARLY_EVENTS {
                let pause = if self.are_settled() { INTERFACE_PAUSE } else { INTERFACE_TIMEOUT };
                if self.wanted.iter().all(Wanted::is_settled_for_good) {
                    return;
                }
                match timeout(pause, swarm.select_next_some()).await {
                    Ok(event) => early.extend(self.on_event(event)),
                    Err(_) => return,
                }
            }
        };
        // Other events start the pause anew, but not for ever. What was found until then stays.
        let _ = timeout(INTERFACE_TIMEOUT, settled).await;
        self.publish();
        Ok(early)
    }

    /// When the next address is tried again or looked at.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        let due = self.wanted.iter().filter_map(|wanted| match wanted.state {
            State::Down { retry_at, .. } => Some(retry_at),
            State::Up { .. } if wanted.may_go() => Some(self.next_look),
            State::Up { .. } => None,
        });
        due.min()
    }

    /// Tries those again whose time has come, and looks whether the others are still there.
    pub(crate) fn retry(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) {
        let mut tried = self.next_look <= now;
        if tried {
            self.next_look = now + LISTEN_RETRY_CAP;
            self.wanted.iter_mut().filter(|wanted| wanted.may_go()).for_each(Wanted::look);
        }
        for wanted in &mut self.wanted {
            if matches!(wanted.state, State::Down { retry_at, .. } if retry_at <= now) {
                // The reason is kept in the state.
                let _ = wanted.listen(swarm, now);
                tried = true;
            }
        }
        if tried {
            self.publish();
        }
    }

    /// Takes what the swarm says of listeners; gives any other event back.
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
                    Err(error) => chain(&error),
                };
                let now = Instant::now();
                let closed = self.wanted.iter_mut().find(|wanted| wanted.is(listener_id));
                if let Some(wanted) = closed {
                    tracing::warn!(address = %wanted.address, reason, "no longer listening");
                    wanted.state = State::Down { reason, failures: 0, retry_at: now };
                }
            }
            // One connection could not be taken; the listener goes on.
            // Without a descriptor: the driver counts these.
            SwarmEvent::ListenerError { error, .. } if !is_exhausted(&error) => {
                tracing::warn!(error = chain(&error), "a connection could not be accepted");
                return None;
            }
            other => return Some(other),
        }
        self.publish();
        None
    }

    fn reported_by(&mut self, listener: ListenerId) -> Option<&mut Vec<Multiaddr>> {
        self.wanted.iter_mut().find_map(|wanted| match &mut wanted.state {
            State::Up { id, reported, .. } if *id == listener => Some(reported),
            _ => None,
        })
    }

    /// Whether all that is known so early is known, but for interfaces that follow within a moment.
    fn are_settled(&self) -> bool {
        self.wanted.iter().all(|wanted| match &wanted.state {
            State::Down { .. } => true,
            State::Up { reported, .. } => reported.iter().any(|address| {
                !wanted.socket.address.ip().is_unspecified() || reach_of(address) > Reach::Link
            }),
        })
    }

    fn publish(&self) {
        self.board.change(|state| {
            state.listening.clear();
            state.waiting.clear();
            for wanted in &self.wanted {
                let reason = match &wanted.state {
                    State::Up { is_gone: true, .. } => NO_SUCH_IP,
                    State::Up { reported, .. } if !reported.is_empty() => {
                        state.listening.extend(reported.iter().cloned());
                        continue;
                    }
                    State::Up { .. } => "no interface has an address of this kind",
                    State::Down { reason, .. } => reason,
                };
                let (address, reason) = (wanted.address.clone(), reason.to_owned());
                state.waiting.push(Waiting { address, reason });
            }
            state.repeated.clone_from(&self.repeated);
        });
    }
}

impl Wanted {
    fn is(&self, listener: ListenerId) -> bool {
        matches!(self.state, State::Up { id, .. } if id == listener)
    }

    /// Whether an interface can take its IP address away without anybody's word.
    fn may_go(&self) -> bool {
        let ip = self.socket.address.ip();
        !ip.is_unspecified() && !ip.is_loopback()
    }

    fn look(&mut self) {
        if let State::Up { is_gone, .. } = &mut self.state {
            let bound = UdpSocket::bind((self.socket.address.ip(), 0));
            let gone = bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable);
            if gone != *is_gone {
                tracing::info!(address = %self.address, gone, "its IP address has gone or come back");
            }
            *is_gone = gone;
        }
    }

    /// Whether nothing more will be reported without a change of the machine.
    fn is_settled_for_good(&self) -> bool {
        match &self.state {
            State::Down { .. } => true,
            State::Up { reported, .. } => {
                !self.socket.address.ip().is_unspecified() && !reported.is_empty()
            }
        }
    }

    fn listen(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) -> io::Result<()> {
        let listening = claim(&self.socket).and_then(|()| {
            swarm.listen_on(self.address.clone()).map_err(|error| io::Error::other(chain(&error)))
        });
        match listening {
            Ok(id) => {
                self.state = State::Up { id, reported: Vec::new(), is_gone: false };
                Ok(())
            }
            Err(error) => {
                let failures = match self.state {
                    State::Down { failures, .. } => failures,
                    State::Up { .. } => 0,
                };
                let wait = LISTEN_RETRY_BASE.saturating_mul(1 << failures.min(16));
                let reason = plain(&error);
                tracing::debug!(address = %self.address, reason, "cannot listen yet");
                self.state = State::Down {
                    reason,
                    failures: failures.saturating_add(1),
                    retry_at: now + wait.min(LISTEN_RETRY_CAP),
                };
                Err(error)
            }
        }
    }
}

/// Makes sure that a port is free. libp2p listens on TCP with SO_REUSEPORT, so a second process of
/// the same user would be let in, and the kernel would deal connections to both at random. The
/// options are the library's otherwise; above all, an IPv6 socket leaves IPv4 alone.
fn claim(wanted: &Socket) -> io::Result<()> {
    use socket2::{Domain, Protocol, Socket as Claim, Type};
    if wanted.address.port() == 0 {
        return Ok(());
    }
    let domain = Domain::for_address(wanted.address);
    let (kind, protocol) =
        if wanted.udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let claim = Claim::new(domain, kind, Some(protocol))?;
    if wanted.address.is_ipv6() {
        claim.set_only_v6(true)?;
    }
    if !wanted.udp {
        // Connections of an earlier run that are not quite gone do not count.
        claim.set_reuse_address(true)?;
    }
    claim.bind(&wanted.address.into())?;
    // Two sockets may be bound with that option, but only one listens. Closed again at once: the library's own follows.
    if wanted.udp { Ok(()) } else { claim.listen(1) }
}

/// The usual reasons in words.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "its port is in use by another process".into(),
        io::ErrorKind::AddrNotAvailable => NO_SUCH_IP.into(),
        io::ErrorKind::Unsupported => "this machine does not speak its kind of IP".into(),
        io::ErrorKind::PermissionDenied => {
            "this process may not: ports below 1024 need CAP_NET_BIND_SERVICE; take another port"
                .into()
        }
        _ if error.raw_os_error() == Some(EAFNOSUPPORT) => {
            "this machine does not speak its kind of IP".into()
        }
        _ => chain(error),
    }
}

const NO_SUCH_IP: &str = "no interface of this machine has its IP address";

/// Linux's number for an address family that the kernel does not have, as IPv6 where it is off.
const EAFNOSUPPORT: i32 = 97;

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !reason.contains(&cause) {
            reason = format!("{reason}: {cause}");
        }
        source = error.source();
    }
    reason
}
