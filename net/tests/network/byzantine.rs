//! Byzantine members on the bulk protocol: detected, given up, and replaced by honest ones.

use std::time::Duration;

use fedshield_net::{Audience, FetchError, MemberAddr, Tuning, identity_key_of};
use fedshield_protocol::object::CHUNK_SIZE_BYTES;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{Stream, StreamProtocol};

use crate::foreign::{listen, run, stream_swarm};
use crate::support::{FEDERATION, Node, TCP, content, greet, label, list_of, tuning};

/// What a byzantine holder does with a request for a chunk.
#[derive(Clone, Copy, Debug)]
enum Misbehaviour {
    /// The right length, one wrong bit.
    WrongBit,
    /// A chunk list that is not the object's.
    WrongList,
    /// The right chunk under another index.
    WrongIndex,
    /// A frame header that announces four gigabytes.
    Huge,
    /// Bytes that are not a frame.
    Garbage,
    /// A header and part of the body, and then nothing.
    Silence,
}

/// A swarm with a member's key that answers bulk requests falsely.
struct ByzantineHolder {
    member: MemberAddr,
}

impl ByzantineHolder {
    async fn start(bytes: Vec<u8>, misbehaviour: Misbehaviour) -> Self {
        let mut swarm = stream_swarm();
        let address = listen(&mut swarm).await;
        let key = identity_key_of(swarm.local_peer_id()).unwrap();
        let protocol = StreamProtocol::new("/fedshield/bulk/1");
        let mut incoming = swarm.behaviour().new_control().accept(protocol).unwrap();
        run(swarm);
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                // Ends when the other side closes the stream.
                tokio::spawn(answer(stream, bytes.clone(), misbehaviour));
            }
        });
        Self { member: MemberAddr { key, addresses: vec![address] } }
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

async fn answer(
    mut stream: Stream,
    bytes: Vec<u8>,
    misbehaviour: Misbehaviour,
) -> std::io::Result<()> {
    let mut digests = list_of(&bytes).digests().to_vec();
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header).await?;
        let mut body = vec![0; u32::from_le_bytes(header[1..].try_into().unwrap()) as usize];
        stream.read_exact(&mut body).await?;
        let reply = if header[0] == 1 {
            if matches!(misbehaviour, Misbehaviour::WrongList) {
                digests.reverse();
            }
            let list: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
            frame(0x81, &list)
        } else {
            let mut index = u32::from_le_bytes(body[40..].try_into().unwrap());
            let mut chunk = bytes.chunks(CHUNK_SIZE_BYTES).nth(index as usize).unwrap().to_vec();
            match misbehaviour {
                Misbehaviour::WrongBit => chunk[4711] ^= 1,
                Misbehaviour::WrongIndex => index += 1,
                _ => {}
            }
            let honest = [&index.to_le_bytes()[..], &chunk].concat();
            match misbehaviour {
                Misbehaviour::Huge => [&[0x82, 255, 255, 255, 255][..], &honest].concat(),
                Misbehaviour::Garbage => vec![0x55; 64],
                Misbehaviour::Silence => frame(0x82, &honest)[..1000].to_vec(),
                _ => frame(0x82, &honest),
            }
        };
        stream.write_all(&reply).await?;
        stream.flush().await?;
    }
}

/// Bob asks the byzantine holder first and Alice second; he gets the object from Alice.
async fn is_replaced(misbehaviour: Misbehaviour) -> Node {
    let bytes = content(3 * CHUNK_SIZE_BYTES, 1);
    let byzantine = ByzantineHolder::start(bytes.clone(), misbehaviour).await;
    let stall_timeout = Duration::from_secs(3);
    let alice = Node::start(1, TCP).await;
    let mut bob = Node::start_with(2, TCP, Tuning { stall_timeout, ..tuning() }).await;
    let members = vec![alice.member(), bob.member(), byzantine.member.clone()];
    for node in [&alice, &bob] {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    bob.expect_up(byzantine.member.key).await;
    greet(&bob.handle, alice.key(), b"hello").await;
    let object = alice.store.add(bytes.clone());

    // Only the byzantine holder is known at first, so it is certainly asked.
    bob.handle.fetch(object, vec![byzantine.member.key], label(1)).unwrap();
    alice.handle.serve(object, Audience::Everyone, label(1)).unwrap();
    let byzantine_alone = bob.expect_fetched(object).await.unwrap();
    match misbehaviour {
        Misbehaviour::Silence => {
            assert!(matches!(byzantine_alone, FetchError::Stalled { .. }), "{byzantine_alone}");
        }
        _ => {
            assert!(
                matches!(byzantine_alone, FetchError::NoHolderLeft { .. }),
                "{byzantine_alone}"
            );
            assert!(bob.handle.stats().invalid_holders >= 1);
        }
    }
    assert_eq!(bob.store.get(&object), None);
    bob.handle.fetch(object, vec![byzantine.member.key, alice.key()], label(1)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
    assert_eq!(bob.store.get(&object), Some(bytes));
    bob
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_bit_in_a_chunk_is_detected() {
    is_replaced(Misbehaviour::WrongBit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_chunk_list_is_detected() {
    is_replaced(Misbehaviour::WrongList).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_under_another_index_is_refused() {
    is_replaced(Misbehaviour::WrongIndex).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_four_gigabytes_is_not_read() {
    let bob = is_replaced(Misbehaviour::Huge).await;
    let came = bob.handle.stats().object(label(1)).bytes_in;
    let object = 3 * CHUNK_SIZE_BYTES as u64;
    assert!(came < 2 * object, "{came} bytes were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_not_a_frame() {
    is_replaced(Misbehaviour::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_stalls_is_replaced() {
    is_replaced(Misbehaviour::Silence).await;
}

/// A byzantine member that sends garbage to a holder.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_survives_garbage_requests() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let mut swarm = stream_swarm();
    let peer = fedshield_net::peer_id_of(&alice.key()).unwrap();
    let key = identity_key_of(swarm.local_peer_id()).unwrap();
    let byzantine = MemberAddr { key, addresses: vec![] };
    let members = vec![alice.member(), bob.member(), byzantine];
    for node in [&alice, &bob] {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    swarm.dial(alice.address()).unwrap();
    let mut control = swarm.behaviour().new_control();
    run(swarm);
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
        // Both a reset and an end of the stream are correct.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer.first() == Some(&0x83), refused, "{answer:?}");
    }
    greet(&bob.handle, alice.key(), b"hello").await;
    bob.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
}
