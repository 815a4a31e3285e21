//! What people should know of the network: where it listens, what it waits for. Written by the network, watched by anyone.

use std::sync::Arc;

use libp2p::Multiaddr;
use tokio::sync::watch;

/// Where this node listens and what keeps the network from all that was asked of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetState {
    /// Where the node listens at the moment, with real ports; for all interfaces, one address for each.
    pub listening: Vec<Multiaddr>,
    /// Addresses that were asked for and are not there yet. They are tried again until they are.
    pub waiting: Vec<Waiting>,
    /// Addresses that were asked for and that another one covers already.
    pub repeated: Vec<Repeated>,
    /// What is wrong with the system's list of name servers, if a name could not be looked up for it.
    pub names: Option<String>,
    /// Why the address book could not be written or read; it is tried again.
    pub book: Option<String>,
}

/// An address that is not listened on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// As it was asked for.
    pub address: Multiaddr,
    /// What the system says.
    pub reason: String,
}

/// An address that was asked for more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// As it was asked for.
    pub address: Multiaddr,
    /// The one that covers it; the same text, or the same port on all interfaces.
    pub covered_by: Multiaddr,
}

/// The one place where the state is written. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct StateBoard(Arc<watch::Sender<NetState>>);

impl StateBoard {
    pub(crate) fn read(&self) -> NetState {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<NetState> {
        self.0.subscribe()
    }

    /// Changes the state; nobody is woken if it stays as it was.
    pub(crate) fn change(&self, change: impl FnOnce(&mut NetState)) {
        self.0.send_if_modified(|state| {
            let mut next = state.clone();
            change(&mut next);
            let changed = next != *state;
            *state = next;
            changed
        });
    }

    pub(crate) fn names(&self, problem: Option<String>) {
        self.change(|state| state.names = problem);
    }

    pub(crate) fn book(&self, problem: Option<String>) {
        self.change(|state| state.book = problem);
    }
}
