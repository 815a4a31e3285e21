//! Announcements and direct messages.

use std::time::Duration;

use fedshield_net::limits::{MAX_DIRECT_BYTES, MAX_GOSSIP_BYTES};
use fedshield_net::{GossipError, NetEvent, SendError};

use crate::support::{Node, PATIENCE, QUIC, TCP, connect};

/// Publishes as soon as somebody is subscribed, which is a moment after the connection is
/// established.
async fn announce(node: &Node, bytes: Vec<u8>) {
    let announced = async {
        loop {
            match node.handle.gossip(bytes.clone()).await {
                Ok(()) => return,
                Err(GossipError::NoPeers) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, announced).await.expect("nobody ever subscribed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_of_the_largest_size_reaches_all_members() {
    let mut nodes = Vec::new();
    for (seed, listen) in [(1, TCP), (2, QUIC), (3, TCP), (4, QUIC)] {
        nodes.push(Node::start(seed, listen).await);
    }
    connect(&mut nodes.iter_mut().collect::<Vec<_>>()).await;
    for sender in 0..nodes.len() {
        let bytes = vec![sender as u8; MAX_GOSSIP_BYTES];
        announce(&nodes[sender], bytes.clone()).await;
        let key = nodes[sender].key();
        for (reader, node) in nodes.iter_mut().enumerate() {
            if reader != sender {
                assert_eq!(node.expect_gossip(key).await, bytes);
            }
        }
    }
    // Each of the four announcements was received exactly once.
    let received = nodes[0].handle.stats().gossip.bytes_in;
    assert_eq!(received, 3 * MAX_GOSSIP_BYTES as u64);
}

/// Gossipsub compares its limit with all bytes that it has read and not yet decoded: with a limit
/// of one message, the second of two large ones in quick succession ended the stream, and after
/// five such ends the connection carried no gossip any more.
#[tokio::test(flavor = "multi_thread")]
async fn large_announcements_in_quick_succession_all_arrive() {
    for listen in [TCP, QUIC] {
        let (mut alice, mut bob) = (Node::start(1, listen).await, Node::start(2, listen).await);
        connect(&mut [&mut alice, &mut bob]).await;
        let announcements: Vec<_> = (0..40).map(|number| vec![number; MAX_GOSSIP_BYTES]).collect();
        for bytes in &announcements {
            announce(&alice, bytes.clone()).await;
        }
        for bytes in announcements {
            assert!(bob.expect_gossip(alice.key()).await == bytes, "one is missing");
        }
    }
}

/// An unchanged heartbeat is how a member requests what it lacks: the retransmission must be
/// delivered, at once and also by those that were connected with the sender before its restart.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_announcement_published_again_is_delivered_again() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    connect(&mut [&mut alice, &mut bob]).await;
    let words = b"I still lack two votes".to_vec();
    for _ in 0..3 {
        announce(&bob, words.clone()).await;
        assert_eq!(alice.expect_gossip(bob.key()).await, words);
    }
    bob.handle.shutdown().await;
    let mut bob = Node::start(2, TCP).await;
    connect(&mut [&mut alice, &mut bob]).await;
    announce(&bob, words.clone()).await;
    assert_eq!(alice.expect_gossip(bob.key()).await, words);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_message_is_an_error_at_once() {
    let node = Node::start(1, TCP).await;
    let length = MAX_GOSSIP_BYTES + 1;
    let refused = node.handle.gossip(vec![0; length]).await;
    assert_eq!(refused, Err(GossipError::TooLarge { length, max: MAX_GOSSIP_BYTES }));
    assert_eq!(node.handle.gossip(vec![0]).await, Err(GossipError::NoFederation));
    let length = MAX_DIRECT_BYTES + 1;
    let refused = node.handle.send(node.key(), vec![0; length]).await;
    assert_eq!(refused, Err(SendError::TooLarge { length, max: MAX_DIRECT_BYTES }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_direct_message_arrives_and_is_counted() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    connect(&mut [&mut alice, &mut bob]).await;
    let before = bob.handle.stats().direct.bytes_in;
    let bytes = vec![7; MAX_DIRECT_BYTES];
    alice.handle.send(bob.key(), bytes.clone()).await.unwrap();
    assert_eq!(bob.expect_direct(alice.key()).await, bytes);
    let counted = bob.handle.stats().direct.bytes_in - before;
    assert_eq!(counted, MAX_DIRECT_BYTES as u64 + 4);
}

/// The daemon does not read its events: messages are refused, and none that was accepted is lost.
#[tokio::test(flavor = "multi_thread")]
async fn messages_to_a_busy_daemon_are_refused_and_not_queued_without_bound() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    connect(&mut [&mut alice, &mut bob]).await;
    let mut taken = Vec::new();
    let mut refused = 0;
    for number in 0..700u32 {
        match alice.handle.send(bob.key(), number.to_le_bytes().to_vec()).await {
            Ok(()) => taken.push(number.to_le_bytes().to_vec()),
            Err(SendError::Busy { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "everything was taken");
    for expected in taken {
        let key = alice.key();
        let came = bob.expect(|event| match event {
            NetEvent::Direct { from, bytes } if from == key => Ok(bytes),
            other => Err(other),
        });
        assert_eq!(came.await, expected);
    }
    assert_eq!(bob.handle.stats().dropped, refused);
}
