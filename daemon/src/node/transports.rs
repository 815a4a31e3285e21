//! The transport that each member is connected over, for the status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fedshield_net::NetHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::net_metrics::name_of;
use crate::control::api::{ConnectionView, MemberTransport, NodeStatus};
use crate::founding::FoundingView;

/// The pause between two checks.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps the status up to date until `stop` or until the network ends.
pub(super) async fn follow(
    net: NetHandle,
    founding: watch::Receiver<FoundingView>,
    status: Arc<watch::Sender<NodeStatus>>,
    stop: CancellationToken,
) {
    loop {
        let Ok(peers) = net.peers().await else { return };
        let mut transports = BTreeMap::new();
        for peer in peers {
            let connections: Vec<_> = peer.connections.iter().map(ConnectionView::from).collect();
            let name = name_of(&founding.borrow(), &peer.key);
            transports.extend(MemberTransport::of(&connections).map(|best| (name, best)));
        }
        status.send_if_modified(|status| {
            let changed = status.transports != transports;
            status.transports = transports;
            changed
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
