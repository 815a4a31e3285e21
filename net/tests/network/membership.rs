//! Members are connected, others are not, and restarted members are found again.

use std::time::Duration;

use fedshield_net::{MemberAddr, NetEvent, SendError, Tuning};

use crate::support::{FEDERATION, Node, QUIC, TCP, connect, greet, label, tuning};

async fn two_nodes_talk(listen: &str) {
    let (mut alice, mut bob) = (Node::start(1, listen).await, Node::start(2, listen).await);
    connect(&mut [&mut alice, &mut bob]).await;
    assert_eq!(alice.handle.connected(), [bob.key()]);
    alice.handle.send(bob.key(), b"to bob".to_vec()).await.unwrap();
    bob.handle.send(alice.key(), b"to alice".to_vec()).await.unwrap();
    assert_eq!(bob.expect_direct(alice.key()).await, b"to bob");
    assert_eq!(alice.expect_direct(bob.key()).await, b"to alice");
    let transport = alice.handle.stats().transport;
    assert!(transport.bytes_in > 0 && transport.bytes_out > 0, "{transport:?}");
    alice.handle.shutdown().await;
    bob.expect_down(alice.key()).await;
    bob.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_talk_over_tcp() {
    two_nodes_talk(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_talk_over_quic() {
    two_nodes_talk(QUIC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_non_member_reaches_nothing_that_is_for_members() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    connect(&mut [&mut alice, &mut bob]).await;
    let object = alice.store.add(b"for members".to_vec());
    alice.handle.serve(object, fedshield_net::Audience::Everyone, label(1)).unwrap();

    // The non-member has Alice in its list of members; Alice does not have it in hers.
    let stall_timeout = Duration::from_secs(1);
    let mut non_member = Node::start_with(3, TCP, Tuning { stall_timeout, ..tuning() }).await;
    let members = vec![alice.member(), non_member.member()];
    non_member.handle.set_members(FEDERATION, members).await.unwrap();
    non_member.expect_up(alice.key()).await;
    let refused = non_member.handle.send(alice.key(), b"let me in".to_vec()).await.unwrap_err();
    assert!(matches!(refused, SendError::Lost { .. }), "{refused}");
    let unheard = non_member.handle.gossip(b"hello all".to_vec()).await;
    assert_eq!(unheard, Err(fedshield_net::GossipError::NoPeers));
    non_member.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    assert!(non_member.expect_fetched(object).await.is_some());

    // Alice still serves her member, and has no event of the non-member.
    bob.handle.send(alice.key(), b"still here".to_vec()).await.unwrap();
    assert_eq!(alice.expect_direct(bob.key()).await, b"still here");
    let strange = |event: &&NetEvent| match event {
        NetEvent::PeerUp(key) => *key == non_member.key(),
        NetEvent::Gossip { .. } | NetEvent::Direct { .. } => true,
        _ => false,
    };
    assert_eq!(alice.seen.iter().find(strange).map(|event| format!("{event:?}")), None);
    assert_eq!(alice.handle.stats().object(label(1)).bytes_out, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_disconnected_and_a_new_one_is_connected() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    connect(&mut [&mut alice, &mut bob]).await;
    alice.handle.set_members(FEDERATION, vec![alice.member()]).await.unwrap();
    alice.expect_down(bob.key()).await;
    bob.expect_down(alice.key()).await;
    let refused = alice.handle.send(bob.key(), vec![1]).await.unwrap_err();
    assert!(matches!(refused, SendError::NotConnected { .. }), "{refused}");

    let members = vec![alice.member(), bob.member()];
    alice.handle.set_members(FEDERATION, members).await.unwrap();
    alice.expect_up(bob.key()).await;
    greet(&bob.handle, alice.key(), b"back").await;
    assert_eq!(alice.expect_direct(bob.key()).await, b"back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_member_is_found_again_by_its_old_address() {
    let (mut alice, bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let place = bob.address();
    // Only Alice knows an address, so only she can dial.
    let unknown = MemberAddr { key: alice.key(), addresses: vec![] };
    bob.handle.set_members(FEDERATION, vec![unknown.clone()]).await.unwrap();
    alice.handle.set_members(FEDERATION, vec![bob.member()]).await.unwrap();
    alice.expect_up(bob.key()).await;
    bob.handle.shutdown().await;
    alice.expect_down(bob.key()).await;

    let mut bob = Node::start_with(2, &place.to_string(), tuning()).await;
    bob.handle.set_members(FEDERATION, vec![unknown]).await.unwrap();
    bob.expect_up(alice.key()).await;
    alice.expect_up(bob.key()).await;
    // Alice may have connected a moment before Bob had her in his list, and then again.
    greet(&bob.handle, alice.key(), b"back").await;
    assert_eq!(alice.expect_direct(bob.key()).await, b"back");
}
