//! Members that speak the framing and mean harm: detected, given up, and done without.

use std::time::Duration;

use fedshield_net::{Audience, FetchError, MemberAddr, Multiaddr, Tuning, identity_key_of};
use fedshield_protocol::object::CHUNK_SIZE_BYTES;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Stream, StreamProtocol, Swarm, noise, tcp, yamux};

use crate::support::{FEDERATION, Node, TCP, content, greet, label, list_of, tuning};

/// What a liar does with a request for a chunk.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// The right length, one wrong bit.
    WrongBit,
    /// A chunk list that is not the object's.
    WrongList,
    /// The right chunk under another index.
    WrongIndex,
    /// A frame header that announces four gigabytes.
    Huge,
    /// Bytes that are no frame.
    Garbage,
    /// A header, and then nothing.
    Silence,
}

/// A bare swarm with a member's key that answers bulk requests with lies.
struct Liar {
    member: MemberAddr,
}

impl Liar {
    async fn start(bytes: Vec<u8>, lie: Lie) -> Self {
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
            .build();
        swarm.listen_on(TCP.parse().unwrap()).unwrap();
        let address = listening(&mut swarm).await;
        let key = identity_key_of(swarm.local_peer_id()).unwrap();
        let protocol = StreamProtocol::new("/fedshield/bulk/1");
        let mut incoming = swarm.behaviour().new_control().accept(protocol).unwrap();
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                // It ends when the other side has had enough.
                tokio::spawn(answer(stream, bytes.clone(), lie));
            }
        });
        Self { member: MemberAddr { key, addresses: vec![address] } }
    }
}

async fn listening(swarm: &mut Swarm<libp2p_stream::Behaviour>) -> Multiaddr {
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

async fn answer(mut stream: Stream, bytes: Vec<u8>, lie: Lie) -> std::io::Result<()> {
    let mut digests = list_of(&bytes).digests().to_vec();
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header).await?;
        let mut body = vec![0; u32::from_le_bytes(header[1..].try_into().unwrap()) as usize];
        stream.read_exact(&mut body).await?;
        let reply = if header[0] == 1 {
            if matches!(lie, Lie::WrongList) {
                digests.reverse();
            }
            let list: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
            frame(0x81, &list)
        } else {
            let mut index = u32::from_le_bytes(body[40..].try_into().unwrap());
            let mut chunk = bytes.chunks(CHUNK_SIZE_BYTES).nth(index as usize).unwrap().to_vec();
            match lie {
                Lie::WrongBit => chunk[4711] ^= 1,
                Lie::WrongIndex => index += 1,
                _ => {}
            }
            let honest = [&index.to_le_bytes()[..], &chunk].concat();
            match lie {
                Lie::Huge => [&[0x82, 255, 255, 255, 255][..], &honest].concat(),
                Lie::Garbage => vec![0x55; 64],
                Lie::Silence => frame(0x82, &honest)[..1000].to_vec(),
                _ => frame(0x82, &honest),
            }
        };
        stream.write_all(&reply).await?;
        stream.flush().await?;
    }
}

/// Bob asks the liar first and Alice second; he gets the object from Alice.
async fn is_done_without(lie: Lie) -> Node {
    let bytes = content(3 * CHUNK_SIZE_BYTES, 1);
    let liar = Liar::start(bytes.clone(), lie).await;
    let stall_timeout = Duration::from_secs(3);
    let alice = Node::start(1, TCP).await;
    let mut bob = Node::start_with(2, TCP, Tuning { stall_timeout, ..tuning() }).await;
    let members = vec![alice.member(), bob.member(), liar.member.clone()];
    for node in [&alice, &bob] {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    bob.expect_up(liar.member.key).await;
    greet(&bob.handle, alice.key(), b"hello").await;
    let object = alice.store.add(bytes.clone());

    // Only the liar is known at first, so it is surely asked.
    bob.handle.fetch(object, vec![liar.member.key], label(1)).unwrap();
    alice.handle.serve(object, Audience::Everyone, label(1)).unwrap();
    let liar_alone = bob.expect_fetched(object).await.unwrap();
    match lie {
        Lie::Silence => {
            assert!(matches!(liar_alone, FetchError::Stalled { .. }), "{liar_alone}");
        }
        _ => {
            assert!(matches!(liar_alone, FetchError::NoHolderLeft { .. }), "{liar_alone}");
            assert!(bob.handle.stats().invalid_holders >= 1);
        }
    }
    assert_eq!(bob.store.get(&object), None);
    bob.handle.fetch(object, vec![liar.member.key, alice.key()], label(1)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
    assert_eq!(bob.store.get(&object), Some(bytes));
    bob
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_bit_in_a_chunk_is_caught() {
    is_done_without(Lie::WrongBit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_chunk_list_is_caught() {
    is_done_without(Lie::WrongList).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_under_another_index_is_not_taken() {
    is_done_without(Lie::WrongIndex).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_four_gigabytes_is_not_read() {
    let bob = is_done_without(Lie::Huge).await;
    let came = bob.handle.stats().object(label(1)).bytes_in;
    let object = 3 * CHUNK_SIZE_BYTES as u64;
    assert!(came < 2 * object, "{came} bytes were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_not_a_frame() {
    is_done_without(Lie::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_falls_silent_is_left() {
    is_done_without(Lie::Silence).await;
}

/// The other way round: a member that sends garbage to the holding side.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_survives_garbage_requests() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
        .build();
    let peer = fedshield_net::peer_id_of(&alice.key()).unwrap();
    let key = identity_key_of(swarm.local_peer_id()).unwrap();
    let vandal = MemberAddr { key, addresses: vec![] };
    let members = vec![alice.member(), bob.member(), vandal];
    for node in [&alice, &bob] {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    swarm.dial(alice.address()).unwrap();
    let mut control = swarm.behaviour().new_control();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    alice.expect_up(key).await;
    let object = alice.store.add(content(100, 1));
    let past_the_end = [&object.root.0[..], &100u64.to_le_bytes(), &7u32.to_le_bytes()].concat();
    alice.handle.serve(object, Audience::Everyone, label(1)).unwrap();
    let protocol = StreamProtocol::new("/fedshield/bulk/1");
    for (bytes, refused) in [
        (vec![0xff; 100], false),
        (frame(1, &[0; 39]), false),
        (frame(2, &[0; 4096]), false),
        (vec![2, 255, 255, 255, 255], false),
        (frame(0x81, &[0; 32]), false),
        (frame(2, &past_the_end), true),
        (frame(1, &[9; 40]), true),
    ] {
        let mut stream = control.open_stream(peer, protocol.clone()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.close().await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an answer to garbage as an end.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer.first() == Some(&0x83), refused, "{answer:?}");
    }
    greet(&bob.handle, alice.key(), b"hello").await;
    bob.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
}
