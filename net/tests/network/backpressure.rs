//! A member that does not read and members that flood, beside honest ones.

use std::time::Duration;

use fedshield_net::{MemberAddr, NetEvent, SendError, Tuning};
use futures::AsyncWriteExt;
use libp2p::StreamProtocol;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::foreign::{run, stream_swarm};
use crate::proxy::Proxy;
use crate::support::{FEDERATION, Node, PATIENCE, QUIC, TCP, connect, tuning};

/// Bob stops reading and Alice sends him much; her messages to Carol are not delayed.
async fn one_stops_reading(listen: &str) {
    // Otherwise the connection would be replaced meanwhile, because hellos are not answered.
    let patient = Tuning { hello_interval: Duration::from_secs(60), ..tuning() };
    let mut alice = Node::start_with(1, listen, patient.clone()).await;
    let mut bob = Node::start_with(2, listen, patient.clone()).await;
    let mut carol = Node::start_with(3, listen, patient).await;
    let to_bob = Proxy::before(&bob.address()).await;
    let unknown = |node: &Node| MemberAddr { key: node.key(), addresses: vec![] };
    let at_proxy = MemberAddr { key: bob.key(), addresses: vec![to_bob.address.clone()] };
    alice.handle.set_members(FEDERATION, vec![at_proxy, carol.member()]).await.unwrap();
    bob.handle.set_members(FEDERATION, vec![unknown(&alice)]).await.unwrap();
    carol.handle.set_members(FEDERATION, vec![unknown(&alice)]).await.unwrap();
    for node in [&mut bob, &mut carol] {
        let key = node.key();
        alice.expect_up(key).await;
        crate::support::greet(&alice.handle, key, b"hello").await;
        node.expect_direct(alice.key()).await;
    }
    let held = to_bob.hold();
    let mut to_bob = JoinSet::new();
    for number in 0..3000u32 {
        let (net, key) = (alice.handle.clone(), bob.key());
        to_bob.spawn(async move { net.send(key, number.to_le_bytes().repeat(16)).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;

    let (mut taken, mut refused) = (0, 0u64);
    let began = Instant::now();
    let (mut others, key) = (JoinSet::new(), carol.key());
    let reading = tokio::spawn(async move {
        let mut count = 0;
        while timeout(Duration::from_secs(5), carol.expect_direct(alice_key())).await.is_ok() {
            count += 1;
        }
        (carol, count)
    });
    let mut all = 0..10_000u32;
    for _ in 0..16 {
        let net = alice.handle.clone();
        let mine: Vec<u32> = all.by_ref().take(625).collect();
        others.spawn(async move {
            let mut outcomes = (0, 0u64);
            for number in mine {
                match net.send(key, number.to_le_bytes().to_vec()).await {
                    Ok(()) => outcomes.0 += 1,
                    Err(SendError::Busy { .. }) => outcomes.1 += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            outcomes
        });
    }
    while let Some(outcomes) = others.join_next().await {
        let (ok, busy) = outcomes.unwrap();
        taken += ok;
        refused += busy;
    }
    let took = began.elapsed();
    assert!(taken >= 400, "only {taken} reached the member that reads");
    assert!(took < Duration::from_secs(60), "{took:?}");
    held.release();
    let (carol, count) = reading.await.unwrap();
    assert_eq!(count, taken, "what was taken was delivered");
    // What was refused was over her rate limit; nothing was refused because of Bob's queue.
    assert_eq!(carol.handle.stats().dropped, refused);
    let mut outcomes = (0, 0);
    while let Some(outcome) = to_bob.join_next().await {
        match outcome.unwrap() {
            Ok(()) => outcomes.0 += 1,
            Err(_) => outcomes.1 += 1,
        }
    }
    assert!(outcomes.0 > 0 || listen == QUIC, "its connection was not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_read_delays_no_messages_to_others_over_tcp() {
    one_stops_reading(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_read_delays_no_messages_to_others_over_quic() {
    one_stops_reading(QUIC).await;
}

fn alice_key() -> fedshield_protocol::ids::IdentityKey {
    let mut seed = [0x5a; 32];
    seed[0] = 1;
    let pair = libp2p::identity::Keypair::ed25519_from_bytes(seed).unwrap();
    fedshield_net::identity_key_of(&pair.public().to_peer_id()).unwrap()
}

/// Alice's daemon does not read while three members send at their rate limit; messages of a fourth
/// are accepted and delivered soon.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_flood_do_not_delay_messages_of_others() {
    let mut alice = Node::start(1, TCP).await;
    let (mut mallory, mut mallet) = (Node::start(2, TCP).await, Node::start(3, TCP).await);
    let (mut marvin, mut bob) = (Node::start(4, TCP).await, Node::start(5, TCP).await);
    connect(&mut [&mut alice, &mut mallory, &mut mallet, &mut marvin, &mut bob]).await;
    let mut floods = JoinSet::new();
    for flooder in [&mallory, &mallet, &marvin] {
        for _ in 0..8 {
            let (net, key) = (flooder.handle.clone(), alice.key());
            floods.spawn(async move {
                for _ in 0..250 {
                    // To be refused is expected.
                    let _ = net.send(key, vec![9; 64]).await;
                }
            });
        }
    }
    timeout(PATIENCE, async { while floods.join_next().await.is_some() {} }).await.unwrap();
    for number in 0..20u8 {
        let sent = bob.handle.send(alice.key(), vec![number]).await;
        assert_eq!(sent, Ok(()), "message {number}");
    }
    let (mut seen, mut from_bob, bobs) = (0, 0, bob.key());
    while from_bob < 20 {
        seen += 1;
        let from = alice.expect(|event| match event {
            NetEvent::Direct { from, .. } => Ok(from),
            other => Err(other),
        });
        from_bob += u32::from(from.await == bobs);
    }
    assert!(seen < 400, "{seen}");
}

/// A member that opens the maximum number of streams for each protocol and sends an incomplete
/// message over each.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_a_member_holds_open_block_nobody_else() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let mut swarm = stream_swarm();
    let key = fedshield_net::identity_key_of(swarm.local_peer_id()).unwrap();
    let byzantine = MemberAddr { key, addresses: vec![] };
    let members = vec![alice.member(), bob.member(), byzantine];
    for node in [&alice, &bob] {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    let (peer, mut control) =
        (fedshield_net::peer_id_of(&alice.key()).unwrap(), swarm.behaviour().new_control());
    swarm.dial(alice.address()).unwrap();
    run(swarm);
    alice.expect_up(key).await;
    let mut held = Vec::new();
    for name in ["/fedshield/direct/1", "/fedshield/presence/1", "/fedshield/addresses/1"] {
        for _ in 0..20 {
            let opened = control.open_stream(peer, StreamProtocol::new(name));
            if let Ok(Ok(mut stream)) = timeout(Duration::from_secs(1), opened).await {
                let _ = stream.write_all(&[1, 0]).await;
                let _ = stream.flush().await;
                held.push(stream);
            }
        }
    }
    assert!(held.len() >= 16, "{} streams are held", held.len());
    crate::support::greet(&bob.handle, alice.key(), b"hello").await;
    let began = Instant::now();
    for number in 0..100u8 {
        assert_eq!(bob.handle.send(alice.key(), vec![number]).await, Ok(()));
        assert_eq!(alice.handle.send(bob.key(), vec![number]).await, Ok(()));
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    while alice.expect_direct(bob.key()).await != [99] {}
    while bob.expect_direct(alice.key()).await != [99] {}
}
