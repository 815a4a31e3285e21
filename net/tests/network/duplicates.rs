//! One identity that is used twice: named to both, to the others, and no longer when one is gone.

use fedshield_net::{MemberAddr, NetHealth};
use tokio::time::timeout;

use crate::support::{FEDERATION, Node, PATIENCE, TCP};

fn named(node: &Node) -> MemberAddr {
    MemberAddr { key: node.key(), addresses: vec![] }
}

/// Reads events away and waits until what is said of the network is as `wanted`.
async fn until(node: &Node, what: &str, wanted: impl Fn(&NetHealth) -> bool) {
    let mut health = node.handle.health();
    let shown = timeout(PATIENCE, health.wait_for(|it| wanted(it))).await.map(|it| it.is_ok());
    assert_eq!(shown, Ok(true), "never {what}: {:?}", node.handle.health().borrow());
}

async fn all_is_well(node: &Node) {
    until(node, "well", |it| !it.has_duplicate && it.duplicated.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_of_an_identity_is_named_to_both_and_to_the_others() {
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

/// Neither of the others is connected with both.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_different_members_see_are_named_too() {
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
