//! A goodbye to the other members, so that they do not wait for a node that stops.

use std::time::Duration;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Command, Event};
use tokio::task::JoinSet;

use super::Host;

/// How long a goodbye may take: if it is lost, the others wait three heartbeats; waiting for it
/// delays this node's stop.
const LIMIT: Duration = Duration::from_secs(1);

impl Host {
    /// Sends a goodbye to all connected members and waits until it is delivered, a second at most.
    /// The machine sends nothing after it.
    pub async fn farewell(&mut self) {
        // A statement of the machine is not on disk yet: nothing may be sent after it.
        if self.disk_space.is_stalled() {
            return;
        }
        let connected = self.parts.net.connected();
        let effects = self.parts.machine.handle(self.clock.now(), Event::Operator(Command::Leave));
        let mut told = JoinSet::new();
        for effect in effects {
            let net = self.parts.net.clone();
            match effect {
                Effect::Gossip(bytes) => {
                    told.spawn(async move { net.gossip(bytes).await.is_ok() });
                }
                Effect::Send { to, bytes } => {
                    if let Some(key) = self.key_of(to).filter(|key| connected.contains(key)) {
                        told.spawn(async move { net.send(key, bytes).await.is_ok() });
                    }
                }
                _ => {}
            }
        }
        if tokio::time::timeout(LIMIT, told.join_all()).await.is_err() {
            tracing::debug!("not every member has heard the goodbye");
        }
    }
}
