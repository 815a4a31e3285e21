//! The operator-visible state of the network: where it listens and what it retries. Written by the
//! network, watched by anyone.

use std::sync::Arc;

use libp2p::Multiaddr;
use tokio::sync::watch;

/// Where this node listens, and which parts of its configuration do not work at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetState {
    /// The addresses that the node listens on, with their actual ports; for `0.0.0.0` and `::` one
    /// for each interface.
    pub listening: Vec<Multiaddr>,
    /// Configured addresses that cannot be listened on yet. They are retried for ever.
    pub waiting: Vec<Waiting>,
    /// Configured addresses that another one includes.
    pub repeated: Vec<Repeated>,
    /// What is wrong with the system's list of name servers, if a name could not be resolved
    /// because of it.
    pub resolver_error: Option<String>,
    /// Why the stored peer records could not be read or written; writing is retried.
    pub records_error: Option<String>,
}

/// An address that cannot be listened on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The configured address.
    pub address: Multiaddr,
    /// The error of the system.
    pub reason: String,
}

/// An address that another one includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The configured address.
    pub address: Multiaddr,
    /// The other one: the same address, or the same port on all interfaces.
    pub covered_by: Multiaddr,
}

/// Publishes the state; clones publish the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatePublisher(Arc<watch::Sender<NetState>>);

impl StatePublisher {
    pub(crate) fn read(&self) -> NetState {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<NetState> {
        self.0.subscribe()
    }

    /// Changes the state; receivers are notified only if it differs.
    pub(crate) fn change(&self, change: impl FnOnce(&mut NetState)) {
        self.0.send_if_modified(|state| {
            let mut next = state.clone();
            change(&mut next);
            let changed = next != *state;
            *state = next;
            changed
        });
    }

    pub(crate) fn set_resolver_error(&self, error: Option<String>) {
        self.change(|state| state.resolver_error = error);
    }

    pub(crate) fn set_records_error(&self, error: Option<String>) {
        self.change(|state| state.records_error = error);
    }
}
