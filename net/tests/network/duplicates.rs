//! One identity that two processes use: detected by both and by the others, until one of them
//! stops.

use fedshield_net::{MemberAddr, NetHealth};
use tokio::time::timeout;

use crate::support::{FEDERATION, Node, PATIENCE, TCP};

fn named(node: &Node) -> MemberAddr {
    MemberAddr { key: node.key(), addresses: vec![] }
}

/// Waits until the health of the network is as `wanted`.
async fn until(node: &Node, what: &str, wanted: impl Fn(&NetHealth) -> bool) {
    let mut health = node.handle.health();
    let shown = timeout(PATIENCE, health.wait_for(|it| wanted(it))).await.map(|it| it.is_ok());
    assert_eq!(shown, Ok(true), "never {what}: {:?}", node.handle.health().borrow());
}

async fn all_is_well(node: &Node) {
    until(node, "well", |it| !it.has_duplicate && it.duplicated.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_identity_is_detected_by_both_and_by_the_others() {
    let (alice, carol) = (Node::start(1, TCP).await, Node::start(3, TCP).await);
    let (bob, copy) = (Node::start(2, TCP).await, Node::start(2, TCP).await);
    for node in [&alice, &carol] {
        let members = vec![alice.member(), named(&bob), carol.member()];
        node.handle.set_members(FEDERATION, members).await.unwrap();
    }
    for node in [&bob, &copy] {
        let members = vec![alice.member(), carol.member()];
        node.handle.set_members(FEDERATION, members).await.unwrap();
    }
    for node in [&bob, &copy] {
        until(node, "told of its copy", |it| it.has_duplicate).await;
        assert_eq!(node.handle.health().borrow().duplicated, []);
    }
    for node in [&alice, &carol] {
        until(node, "told of bob's copy", |it| it.duplicated == [bob.key()]).await;
        assert!(!node.handle.health().borrow().has_duplicate);
    }
    copy.handle.shutdown().await;
    for node in [&alice, &bob, &carol] {
        all_is_well(node).await;
    }
}

/// No other member is connected with both.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_that_no_member_is_connected_with_both_of_is_detected() {
    let (alice, carol) = (Node::start(1, TCP).await, Node::start(3, TCP).await);
    let (bob, copy) = (Node::start(2, TCP).await, Node::start(2, TCP).await);
    for node in [&alice, &carol] {
        let members = vec![alice.member(), named(&bob), carol.member()];
        node.handle.set_members(FEDERATION, members).await.unwrap();
    }
    bob.handle.set_members(FEDERATION, vec![alice.member(), named(&carol)]).await.unwrap();
    copy.handle.set_members(FEDERATION, vec![named(&alice), carol.member()]).await.unwrap();
    for node in [&bob, &copy] {
        until(node, "told of its copy", |it| it.has_duplicate).await;
    }
    for node in [&alice, &carol] {
        until(node, "told of bob's copy", |it| it.duplicated == [bob.key()]).await;
    }
    bob.handle.shutdown().await;
    for node in [&alice, &copy, &carol] {
        all_is_well(node).await;
    }
}
