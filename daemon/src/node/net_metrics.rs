//! What the network counts, for Prometheus.

use std::time::Duration;

use fedshield_net::NetHandle;
use fedshield_protocol::ids::IdentityKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::founding::FoundingView;
use crate::http::Metrics;

/// Between two looks.
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
        metrics.set("connections_refused_total", None, stats.refused_connections as f64);
        metrics.set("network_messages_dropped_total", None, stats.dropped as f64);
        let Ok(peers) = net.peers().await else { return };
        for peer in peers {
            let name = name_of(&founding.borrow(), &peer.key);
            let label = Some(("member", name.as_str()));
            let over_quic = peer.connections.iter().any(fedshield_net::Connection::is_quic);
            metrics.set("member_over_quic", label, f64::from(u8::from(over_quic)));
            metrics.set("member_messages_waiting", label, peer.queue.queued as f64);
            metrics.set("member_messages_dropped_total", label, peer.queue.dropped as f64);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// The member's name; its key in full while there is no manifest.
pub(super) fn name_of(founding: &FoundingView, key: &IdentityKey) -> String {
    let members = founding.manifest.iter().flat_map(|manifest| &manifest.members);
    let mut found = members.filter(|member| member.identity_key == *key);
    found.next().map_or_else(|| key.to_string(), |member| member.name.clone())
}
