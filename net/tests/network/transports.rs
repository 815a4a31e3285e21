//! QUIC where it works, TCP where it does not, and back to QUIC when it works again.

use std::time::Duration;

use fedshield_net::{MemberAddr, Multiaddr, PeerView, Tuning};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use crate::support::{FEDERATION, MemoryStore, Node, QUIC, TCP, config, tuning};

async fn on_both(seed: u8, tuning: Tuning) -> Node {
    let store = std::sync::Arc::new(MemoryStore::default());
    Node::start_configured(config(seed, &[TCP, QUIC], tuning, store.clone()), store).await
}

fn of(node: &Node, over_quic: bool) -> Multiaddr {
    let all = node.handle.listen_addresses();
    all.into_iter().find(|it| fedshield_net::is_quic(it) == over_quic).unwrap()
}

fn runs_over(quic: bool) -> impl Fn(&PeerView) -> bool {
    move |peer| {
        !peer.connections.is_empty() && peer.connections.iter().all(|it| it.is_quic() == quic)
    }
}

/// Bob dials Alice at `addresses`; she does not know where he is.
async fn dials(alice: &Node, bob: &mut Node, addresses: Vec<Multiaddr>) -> Duration {
    let unknown = MemberAddr { key: bob.key(), addresses: vec![] };
    alice.handle.set_members(FEDERATION, vec![unknown]).await.unwrap();
    let member = MemberAddr { key: alice.key(), addresses };
    let began = Instant::now();
    bob.handle.set_members(FEDERATION, vec![member]).await.unwrap();
    bob.expect_up(alice.key()).await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_both_is_connected_over_quic() {
    let alice = on_both(1, tuning()).await;
    for seed in 2..6 {
        let mut bob = on_both(seed, tuning()).await;
        // As an old manifest has them.
        dials(&alice, &mut bob, vec![of(&alice, false), of(&alice, true)]).await;
        bob.peer_where(alice.key(), runs_over(true)).await;
        bob.handle.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_blocked_tcp_is_taken_soon() {
    let alice = on_both(1, tuning()).await;
    // It takes datagrams and answers none.
    let blocked = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = blocked.local_addr().unwrap().port();
    let nowhere: Multiaddr = format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap();
    let mut bob = Node::start(2, TCP).await;
    let took = dials(&alice, &mut bob, vec![nowhere, of(&alice, false)]).await;
    bob.peer_where(alice.key(), runs_over(false)).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// Bob has reached Alice over TCP, hears of her QUIC address over it, and goes over.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_connected_over_tcp_is_moved_to_quic_when_that_works() {
    let tuning = Tuning { quic_upgrade_base: Duration::from_millis(300), ..tuning() };
    let alice = on_both(1, tuning.clone()).await;
    let mut bob = on_both(2, tuning).await;
    dials(&alice, &mut bob, vec![of(&alice, false)]).await;
    bob.peer_where(alice.key(), runs_over(true)).await;
    alice.peer_where(bob.key(), runs_over(true)).await;
    sleep(Duration::from_secs(1)).await;
    assert!(runs_over(true)(&bob.peer_where(alice.key(), |_| true).await), "it stays there");
    let downs = |node: &Node, key| {
        node.seen
            .iter()
            .filter(|it| matches!(it, fedshield_net::NetEvent::PeerDown(k) if *k == key))
            .count()
    };
    assert_eq!(downs(&bob, alice.key()), 0, "it was never away");
}
