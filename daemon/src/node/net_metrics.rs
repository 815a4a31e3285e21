//! The network's counters as Prometheus metrics.

use std::time::Duration;

use fedshield_net::NetHandle;
use fedshield_protocol::ids::IdentityKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::founding::FoundingView;
use crate::http::{MemberMetrics, Metrics, NetworkMetrics};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps the metrics up to date until `stop` or until the network ends.
pub(super) async fn follow(
    metrics: Metrics,
    net: NetHandle,
    founding: watch::Receiver<FoundingView>,
    stop: CancellationToken,
) {
    loop {
        let stats = net.stats();
        let Ok(peers) = net.peers().await else { return };
        let members = peers.iter().map(|peer| {
            let over_quic = peer.connections.iter().any(fedshield_net::Connection::is_quic);
            let shown = MemberMetrics {
                over_quic,
                messages_waiting: peer.queue.queued as u64,
                messages_dropped: peer.queue.dropped,
            };
            (name_of(&founding.borrow(), &peer.key), shown)
        });
        metrics.set_network(NetworkMetrics {
            connections_refused: stats.refused_connections,
            messages_dropped: stats.dropped,
            members: members.collect(),
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// The member's name, or its full key while there is no manifest.
pub(super) fn name_of(founding: &FoundingView, key: &IdentityKey) -> String {
    let members = founding.listing.iter().flat_map(|listing| listing.members());
    let mut found = members.filter(|member| member.identity_key == *key);
    found.next().map_or_else(|| key.to_string(), |member| member.name.clone())
}
