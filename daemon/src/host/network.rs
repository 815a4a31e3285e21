//! Translates the network's events for the machine.

use fedshield_net::{FetchError, NetEvent};
use fedshield_protocol::event::Event;

use super::{Host, HostError};

impl Host {
    /// Handles an event of the network.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn on_network(&mut self, event: NetEvent) -> Result<(), HostError> {
        let event = match event {
            NetEvent::Gossip { from, bytes, .. } | NetEvent::Direct { from, bytes } => {
                self.member_of(&from).map(|from| Event::Message { from, bytes })
            }
            NetEvent::PeerUp(key) => self.member_of(&key).map(Event::PeerUp),
            NetEvent::PeerDown(key) => self.member_of(&key).map(Event::PeerDown),
            NetEvent::ObjectReady(object) => {
                self.fetches.end(&object);
                if !self.fetches.waits_for_space() {
                    self.disk_space.fetched();
                }
                Some(Event::ObjectReady(object))
            }
            NetEvent::ObjectFailed {
                object,
                reason: FetchError::Store { reason, disk_full: true },
            } => {
                // The machine asks for it again.
                self.fetches.end(&object);
                self.disk_space.fetch_failed(&reason);
                Some(Event::ObjectFailed(object))
            }
            NetEvent::ObjectFailed { object, reason } => {
                self.fetches.end(&object);
                tracing::warn!(object = %object.root.short(), %reason, "fetch failed");
                Some(Event::ObjectFailed(object))
            }
            // Answered by the node before the host gets it.
            NetEvent::JoinRequest { .. } => None,
        };
        match event {
            Some(event) => self.handle(event).await,
            None => Ok(()),
        }
    }
}
