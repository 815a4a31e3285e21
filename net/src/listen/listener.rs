//! The listener of one configured address: up, or down until the next attempt.

use std::io;
use std::net::UdpSocket;

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, Swarm};
use tokio::time::Instant;

use super::check::Socket;
use super::claim::{NO_SUCH_IP, claim, describe, with_causes};
use crate::behaviour::Behaviour;
use crate::limits::{LISTEN_RETRY_BASE, LISTEN_RETRY_CAP};
use crate::scope::{AddressScope, scope_of};

pub(super) struct Listener {
    pub(super) address: Multiaddr,
    socket: Socket,
    state: State,
}

enum State {
    /// The socket is bound. Its addresses are reported one by one, and expire when an interface
    /// goes down. No event reports that the one configured IP address is gone, so it is checked:
    /// the socket stays bound, and works again when the address is back.
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

impl Listener {
    /// A listener whose first attempt is due.
    pub(super) fn new(address: Multiaddr, socket: Socket) -> Self {
        let (reason, retry_at) = ("not tried yet".into(), Instant::now());
        Self { address, socket, state: State::Down { reason, failures: 0, retry_at } }
    }

    pub(super) fn is(&self, listener: ListenerId) -> bool {
        matches!(self.state, State::Up { id, .. } if id == listener)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Down { retry_at, .. } if retry_at <= now)
    }

    /// When it is retried, or checked at `next_check`.
    pub(super) fn next_retry(&self, next_check: Instant) -> Option<Instant> {
        match self.state {
            State::Down { retry_at, .. } => Some(retry_at),
            State::Up { .. } if self.may_lose_ip() => Some(next_check),
            State::Up { .. } => None,
        }
    }

    /// The addresses that are listened on, or why there is none.
    pub(super) fn addresses(&self) -> Result<&[Multiaddr], &str> {
        match &self.state {
            State::Up { is_gone: true, .. } => Err(NO_SUCH_IP),
            State::Up { reported, .. } if !reported.is_empty() => Ok(reported),
            State::Up { .. } => Err("no interface has an address of this kind"),
            State::Down { reason, .. } => Err(reason),
        }
    }

    pub(super) fn reported_by(&mut self, listener: ListenerId) -> Option<&mut Vec<Multiaddr>> {
        match &mut self.state {
            State::Up { id, reported, .. } if *id == listener => Some(reported),
            State::Up { .. } | State::Down { .. } => None,
        }
    }

    pub(super) fn on_closed(&mut self, reason: String, now: Instant) {
        self.state = State::Down { reason, failures: 0, retry_at: now };
    }

    /// Whether it is down, or has reported its one IP address or, if it listens on all interfaces,
    /// an address that is reachable from beyond the link.
    pub(super) fn is_settled(&self) -> bool {
        match &self.state {
            State::Down { .. } => true,
            State::Up { reported, .. } => reported.iter().any(|address| {
                !self.socket.address.ip().is_unspecified() || scope_of(address) > AddressScope::Link
            }),
        }
    }

    /// Whether nothing more will be reported unless the machine's addresses change.
    pub(super) fn is_final(&self) -> bool {
        match &self.state {
            State::Down { .. } => true,
            State::Up { reported, .. } => {
                !self.socket.address.ip().is_unspecified() && !reported.is_empty()
            }
        }
    }

    /// Whether its IP address can disappear without an event.
    fn may_lose_ip(&self) -> bool {
        let ip = self.socket.address.ip();
        !ip.is_unspecified() && !ip.is_loopback()
    }

    /// Checks whether its IP address still exists.
    pub(super) fn check(&mut self) {
        if !self.may_lose_ip() {
            return;
        }
        if let State::Up { is_gone, .. } = &mut self.state {
            let bound = UdpSocket::bind((self.socket.address.ip(), 0));
            let gone = bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable);
            if gone != *is_gone {
                tracing::info!(address = %self.address, gone, "its IP address is gone or back");
            }
            *is_gone = gone;
        }
    }

    /// Tries to listen; after an error the next attempt is scheduled with exponential backoff.
    ///
    /// # Errors
    /// The error of the system.
    pub(super) fn listen(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) -> io::Result<()> {
        let listening = claim(&self.socket).and_then(|()| {
            swarm
                .listen_on(self.address.clone())
                .map_err(|error| io::Error::other(with_causes(&error)))
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
                let reason = describe(&error);
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
