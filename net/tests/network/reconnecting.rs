//! A member that restarts while others still hold its old connection receives and is received at
//! once.

use std::time::Duration;

use fedshield_net::{MemberAddr, Multiaddr, NetEvent};
use tokio::time::timeout;

use crate::proxy::{Held, Proxy};
use crate::support::{FEDERATION, Node, PATIENCE, QUIC, TCP, greet, tuning};

/// Time between two announcements of the same bytes, as by heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(100);

fn at(node: &Node, addresses: &[&Multiaddr]) -> MemberAddr {
    MemberAddr { key: node.key(), addresses: addresses.iter().map(|it| (*it).clone()).collect() }
}

/// `speaker` retransmits an announcement until `hearer` has received it, as nodes do: one lost
/// announcement is tolerated, permanent loss is not.
async fn is_heard(speaker: &Node, hearer: &mut Node, word: &[u8]) {
    let (handle, bytes) = (speaker.handle.clone(), word.to_vec());
    let beats = tokio::spawn(async move {
        loop {
            // An error means that nobody is subscribed yet; the next heartbeat retries.
            let _ = handle.gossip(bytes.clone()).await;
            tokio::time::sleep(HEARTBEAT).await;
        }
    });
    let key = speaker.key();
    let heard = timeout(PATIENCE, async { while hearer.expect_gossip(key).await != word {} }).await;
    beats.abort();
    assert!(heard.is_ok(), "{:?} never came", String::from_utf8_lossy(word));
}

async fn both_hear(alice: &mut Node, bob: &mut Node, word: &str) {
    is_heard(alice, bob, format!("{word}: to bob").as_bytes()).await;
    is_heard(bob, alice, format!("{word}: to alice").as_bytes()).await;
    // A direct message uses a random connection of several, so the dead ones must be closed too.
    for _ in 0..4 {
        greet(&alice.handle, bob.key(), word.as_bytes()).await;
        greet(&bob.handle, alice.key(), word.as_bytes()).await;
    }
    for node in [alice, bob] {
        let health = node.handle.health().borrow().clone();
        assert!(!health.has_duplicate && health.duplicated.is_empty(), "a restart is no copy");
        node.seen.clear();
    }
}

/// Bob dials Alice; his machine loses power and restarts before Alice has noticed.
async fn a_dialler_is_restarted(listen: &str, times: usize) {
    let mut alice = Node::start(1, listen).await;
    let proxy = Proxy::before(&alice.address()).await;
    let mut bob = Node::start(2, listen).await;
    alice.handle.set_members(FEDERATION, vec![at(&bob, &[])]).await.unwrap();
    bob.handle.set_members(FEDERATION, vec![at(&alice, &[&proxy.address])]).await.unwrap();
    both_hear(&mut alice, &mut bob, "before").await;
    for time in 0..times {
        proxy.cut();
        bob.handle.shutdown().await;
        bob = Node::start(2, listen).await;
        bob.handle.set_members(FEDERATION, vec![at(&alice, &[&proxy.address])]).await.unwrap();
        // The daemon is told that this is another process.
        alice.expect_down(bob.key()).await;
        alice.expect_up(bob.key()).await;
        both_hear(&mut alice, &mut bob, &format!("start {time}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_restarted_before_its_old_connection_is_closed_receives_and_is_received_over_tcp()
{
    a_dialler_is_restarted(TCP, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_restarted_before_its_old_connection_is_closed_receives_and_is_received_over_quic()
{
    a_dialler_is_restarted(QUIC, 20).await;
}

/// The node that was dialled is restarted, and dials.
async fn a_listener_is_restarted(listen: &str, times: usize) {
    let (mut alice, mut bob) = (Node::start(1, listen).await, Node::start(2, listen).await);
    let to_alice = Proxy::before(&alice.address()).await;
    let to_bob = Proxy::before(&bob.address()).await;
    alice.handle.set_members(FEDERATION, vec![at(&bob, &[])]).await.unwrap();
    bob.handle.set_members(FEDERATION, vec![at(&alice, &[&to_alice.address])]).await.unwrap();
    both_hear(&mut alice, &mut bob, "before").await;
    for time in 0..times {
        to_alice.cut();
        to_bob.cut();
        alice.handle.shutdown().await;
        alice = Node::start(1, listen).await;
        to_alice.lead_to(&alice.address());
        alice.handle.set_members(FEDERATION, vec![at(&bob, &[&to_bob.address])]).await.unwrap();
        both_hear(&mut alice, &mut bob, &format!("start {time}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_others_dial_is_restarted_and_received_over_tcp() {
    a_listener_is_restarted(TCP, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_others_dial_is_restarted_and_received_over_quic() {
    a_listener_is_restarted(QUIC, 10).await;
}

/// Both are restarted in turn and together, each time with a dead line.
#[tokio::test(flavor = "multi_thread")]
async fn both_members_are_restarted() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let to_alice = Proxy::before(&alice.address()).await;
    let to_bob = Proxy::before(&bob.address()).await;
    for time in 0..12 {
        alice.handle.set_members(FEDERATION, vec![at(&bob, &[&to_bob.address])]).await.unwrap();
        bob.handle.set_members(FEDERATION, vec![at(&alice, &[&to_alice.address])]).await.unwrap();
        both_hear(&mut alice, &mut bob, &format!("start {time}")).await;
        to_alice.cut();
        to_bob.cut();
        if time % 3 != 0 {
            bob.handle.shutdown().await;
            bob = Node::start(2, TCP).await;
            to_bob.lead_to(&bob.address());
        }
        if time % 3 != 1 {
            alice.handle.shutdown().await;
            alice = Node::start(1, TCP).await;
            to_alice.lead_to(&alice.address());
        }
    }
}

/// Bob's machine is paused: Alice closes the connection and dials again; he resumes with both.
async fn a_machine_is_paused(listen: &str, resumes: bool) {
    let (mut alice, mut bob) = (Node::start(1, listen).await, Node::start(2, listen).await);
    let to_alice = Proxy::before(&alice.address()).await;
    let to_bob = Proxy::before(&bob.address()).await;
    alice.handle.set_members(FEDERATION, vec![at(&bob, &[&to_bob.address])]).await.unwrap();
    bob.handle.set_members(FEDERATION, vec![at(&alice, &[&to_alice.address])]).await.unwrap();
    both_hear(&mut alice, &mut bob, "before").await;
    for time in 0..3 {
        // Alice's end of the connection is closed, and Bob does not notice.
        let held = [to_alice.hold(), to_bob.hold()];
        alice.handle.set_members(FEDERATION, vec![]).await.unwrap();
        alice.expect_down(bob.key()).await;
        alice.handle.set_members(FEDERATION, vec![at(&bob, &[&to_bob.address])]).await.unwrap();
        alice.expect_up(bob.key()).await;
        if resumes {
            held.iter().for_each(Held::release);
        }
        both_hear(&mut alice, &mut bob, &format!("pause {time}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_old_connection_is_dead_after_a_pause_receives_and_is_received() {
    a_machine_is_paused(TCP, false).await;
    a_machine_is_paused(QUIC, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_resumes_after_a_pause_receives_and_is_received() {
    a_machine_is_paused(TCP, true).await;
    a_machine_is_paused(QUIC, true).await;
}

/// Two nodes that dial each other at the same moment keep a connection.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_dials_do_not_close_each_other() {
    for time in 0..10 {
        let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
        let (a, b) = (vec![bob.member()], vec![alice.member()]);
        // Both have the list of members before either has dialled.
        let (first, second) = tokio::join!(
            alice.handle.set_members(FEDERATION, a),
            bob.handle.set_members(FEDERATION, b)
        );
        first.and(second).unwrap();
        both_hear(&mut alice, &mut bob, &format!("time {time}")).await;
        tokio::time::sleep(tuning().stale_timeout * 2).await;
        is_heard(&alice, &mut bob, b"still").await;
        is_heard(&bob, &mut alice, b"still").await;
        let lost = |event: &NetEvent| matches!(event, NetEvent::PeerDown(_));
        assert!(!alice.seen.iter().any(lost) && !bob.seen.iter().any(lost));
    }
}
