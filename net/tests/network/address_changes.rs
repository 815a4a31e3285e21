//! Members whose addresses change: found again from one address, by their own signed records only.

use std::time::Duration;

use fedshield_net::{AddressSource, MemberAddr, Multiaddr, identity_key_of};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::core::{PeerRecord, SignedEnvelope};
use libp2p::identity::Keypair;

use crate::foreign::{listen, run, swarm_with};
use crate::support::{FEDERATION, MemoryBook, Node, TCP, connect};

const SEEDS: [u8; 4] = [1, 2, 3, 4];

async fn start_all(books: &[MemoryBook], listen: &[String]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for ((seed, book), listen) in SEEDS.iter().zip(books).zip(listen) {
        nodes.push(Node::start_at_home(*seed, listen, book).await);
    }
    nodes
}

fn here(node: &Node) -> Vec<Multiaddr> {
    node.handle.listen_addresses()
}

/// Waits until every node has the current signed record of every other one.
async fn all_know_all(nodes: &[&Node]) {
    for node in nodes {
        for other in nodes.iter().filter(|other| other.key() != node.key()) {
            let place = here(other)[0].clone();
            node.peer_where(other.key(), |peer| {
                let signed = |from: &Vec<AddressSource>| from.contains(&AddressSource::Signed);
                peer.addresses.iter().any(|a| a.address == place && signed(&a.sources))
            })
            .await;
        }
    }
}

async fn all_are_connected(nodes: &[&Node]) {
    for node in nodes {
        for other in nodes.iter().filter(|other| other.key() != node.key()) {
            node.peer_where(other.key(), |peer| !peer.connections.is_empty()).await;
        }
    }
}

async fn stop(nodes: Vec<Node>) {
    for node in nodes {
        node.handle.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_reconnects_a_federation_whose_members_have_all_moved() {
    let books: Vec<MemoryBook> = SEEDS.iter().map(|_| MemoryBook::default()).collect();
    let any = vec![TCP.to_owned(); 4];
    let mut nodes = start_all(&books, &any).await;
    let manifest: Vec<MemberAddr> = nodes.iter().map(Node::member).collect();
    connect(&mut nodes.iter_mut().collect::<Vec<_>>()).await;
    all_know_all(&nodes.iter().collect::<Vec<_>>()).await;
    stop(nodes).await;

    // All restart at other addresses, which nobody knows. Their old ports are held, so that none is
    // reused.
    let old: Vec<_> = manifest.iter().flat_map(|m| &m.addresses).map(hold).collect();
    let nodes = start_all(&books, &any).await;
    for node in &nodes {
        node.handle.set_members(FEDERATION, manifest.clone()).await.unwrap();
    }
    // One address, given by the operators of the others.
    let alice = vec![MemberAddr { key: nodes[0].key(), addresses: here(&nodes[0]) }];
    for node in &nodes[1..] {
        node.handle.set_operator_addresses(alice.clone()).await.unwrap();
    }
    all_are_connected(&nodes.iter().collect::<Vec<_>>()).await;
    all_know_all(&nodes.iter().collect::<Vec<_>>()).await;
    // Operator addresses are not sent to others.
    for node in &nodes {
        for peer in node.handle.peers().await.unwrap() {
            let from = |source| peer.addresses.iter().any(|a| a.sources.contains(&source));
            let said = from(AddressSource::Operator);
            assert_eq!(said, peer.key == nodes[0].key() && node.key() != nodes[0].key());
        }
    }
    let places: Vec<String> = nodes.iter().map(|node| here(node)[0].to_string()).collect();
    stop(nodes).await;
    drop(old);

    // The next start needs no operator: the records are on disk.
    let nodes = start_all(&books, &places).await;
    for node in &nodes {
        node.handle.set_members(FEDERATION, manifest.clone()).await.unwrap();
    }
    all_are_connected(&nodes.iter().collect::<Vec<_>>()).await;
}

/// Binds a port, so that no node gets it.
fn hold(address: &Multiaddr) -> Option<std::net::TcpListener> {
    let port = address.to_string().rsplit('/').next()?.parse::<u16>().ok()?;
    std::net::TcpListener::bind(("127.0.0.1", port)).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_offline_while_the_others_moved_finds_all_through_one() {
    let books: Vec<MemoryBook> = SEEDS.iter().map(|_| MemoryBook::default()).collect();
    let mut nodes = start_all(&books, &vec![TCP.to_owned(); 4]).await;
    let manifest: Vec<MemberAddr> = nodes.iter().map(Node::member).collect();
    connect(&mut nodes.iter_mut().collect::<Vec<_>>()).await;
    all_know_all(&nodes.iter().collect::<Vec<_>>()).await;
    let old: Vec<_> = manifest.iter().flat_map(|m| m.addresses.clone()).collect();
    let dave = nodes.pop().unwrap();
    dave.handle.shutdown().await;

    // One after the other, so that the two that stay get the records.
    let mut held = Vec::new();
    for place in 0..3 {
        let moving = nodes.remove(place);
        moving.handle.shutdown().await;
        held.extend(hold(&old[place]));
        let moved = Node::start_at_home(SEEDS[place], TCP, &books[place]).await;
        moved.handle.set_members(FEDERATION, manifest.clone()).await.unwrap();
        nodes.insert(place, moved);
        all_know_all(&nodes.iter().collect::<Vec<_>>()).await;
    }
    held.extend(hold(&old[3]));
    let dave = Node::start_at_home(SEEDS[3], TCP, &books[3]).await;
    dave.handle.set_members(FEDERATION, manifest).await.unwrap();
    let bob = MemberAddr { key: nodes[1].key(), addresses: here(&nodes[1]) };
    dave.handle.set_operator_addresses(vec![bob]).await.unwrap();
    nodes.push(dave);
    all_are_connected(&nodes.iter().collect::<Vec<_>>()).await;
    all_know_all(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_member_sends_its_new_addresses_to_all() {
    let (mut alice, mut bob) = (
        Node::start_at_home(1, TCP, &MemoryBook::default()).await,
        Node::start_at_home(2, TCP, &MemoryBook::default()).await,
    );
    connect(&mut [&mut alice, &mut bob]).await;
    let place: Multiaddr = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
    alice.handle.announce(vec![place.clone()]).await.unwrap();
    let told =
        bob.peer_where(alice.key(), |p| p.addresses.iter().any(|a| a.address == place)).await;
    let newest = told.addresses.iter().find(|a| a.address == place).unwrap();
    assert_eq!(newest.sources, [AddressSource::Signed]);
}

/// A swarm with a member's key that sends anything over the protocol for records.
struct Mallory {
    pair: Keypair,
    key: fedshield_protocol::ids::IdentityKey,
    control: libp2p_stream::Control,
}

impl Mallory {
    async fn start() -> (Self, MemberAddr) {
        let pair = Keypair::generate_ed25519();
        let mut swarm = swarm_with(pair.clone(), libp2p_stream::Behaviour::new());
        let address = listen(&mut swarm).await;
        let key = identity_key_of(swarm.local_peer_id()).unwrap();
        let control = swarm.behaviour().new_control();
        run(swarm);
        (Self { pair, key, control }, MemberAddr { key, addresses: vec![address] })
    }

    /// Sends records to a connected node and returns the records that it answers.
    async fn tell(&mut self, to: &Node, records: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let peer = fedshield_net::peer_id_of(&to.key()).unwrap();
        let protocol = StreamProtocol::new("/fedshield/addresses/1");
        let mut ask = vec![0, 0];
        for record in records {
            ask.extend((record.len() as u16).to_le_bytes());
            ask.extend(record);
        }
        // A connection that was made before the node had its list of members is closed and made
        // again.
        let mut stream = loop {
            match self.control.open_stream(peer, protocol.clone()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        stream.write_all(&(ask.len() as u32).to_le_bytes()).await.unwrap();
        stream.write_all(&ask).await.unwrap();
        stream.flush().await.unwrap();
        let mut header = [0; 5];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header[0], 0, "accepted");
        let mut answer = vec![0; u32::from_le_bytes(header[1..].try_into().unwrap()) as usize];
        stream.read_exact(&mut answer).await.unwrap();
        let mut records = Vec::new();
        let mut rest = answer.as_slice();
        while let Some((length, more)) = rest.split_first_chunk::<2>() {
            let (record, more) = more.split_at(u16::from_le_bytes(*length) as usize);
            records.push(record.to_vec());
            rest = more;
        }
        records
    }

    /// A record that describes `victim`, signed by Mallory.
    fn forge(&self, victim: &Node, trap: &Multiaddr) -> Vec<u8> {
        let own = PeerRecord::new_interop(&self.pair, vec![trap.clone()]).unwrap();
        let kind = [0x03, 0x01];
        let domain = || "libp2p-peer-record".to_owned();
        let envelope = own.into_signed_envelope();
        let mut payload = envelope.payload_and_signing_key(domain(), &kind).unwrap().0.to_vec();
        let own = self.pair.public().to_peer_id().to_bytes();
        let victim = fedshield_net::peer_id_of(&victim.key()).unwrap().to_bytes();
        let at = payload.windows(own.len()).position(|part| part == own).unwrap();
        payload.splice(at..at + own.len(), victim);
        let forged = SignedEnvelope::new(&self.pair, domain(), kind.to_vec(), payload).unwrap();
        forged.into_protobuf_encoding()
    }
}

fn about(record: &[u8]) -> Option<PeerRecord> {
    let envelope = SignedEnvelope::from_protobuf_encoding(record).ok()?;
    PeerRecord::from_signed_envelope_interop(envelope).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_member_makes_others_dial_a_host_for_another_member() {
    let (mut mallory, member) = Mallory::start().await;
    let book = MemoryBook::default();
    let alice = Node::start_at_home(1, TCP, &MemoryBook::default()).await;
    let mut bob = Node::start_at_home(2, TCP, &book).await;
    let members = vec![alice.member(), bob.member(), member];
    for node in [&alice, &bob] {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    bob.expect_up(mallory.key).await;
    let (first, second) =
        (here(&alice)[0].clone(), "/ip4/127.0.0.1/tcp/9".parse::<Multiaddr>().unwrap());
    let signed = |place: &Multiaddr| {
        let place = place.clone();
        move |peer: &fedshield_net::PeerView| {
            let from =
                |a: &&fedshield_net::KnownAddress| a.sources.contains(&AddressSource::Signed);
            let signed: Vec<_> = peer.addresses.iter().filter(from).map(|a| &a.address).collect();
            signed == [&place]
        }
    };
    bob.peer_where(alice.key(), signed(&first)).await;
    let old = mallory.tell(&bob, &[]).await;
    let alice_peer = fedshield_net::peer_id_of(&alice.key()).unwrap();
    let is_hers = |record: &&Vec<u8>| about(record).is_some_and(|r| r.peer_id() == alice_peer);
    let stale = old.iter().find(is_hers).unwrap().clone();
    alice.handle.announce(vec![second.clone()]).await.unwrap();
    bob.peer_where(alice.key(), signed(&second)).await;

    let trap: Multiaddr = "/ip4/127.0.0.1/tcp/13".parse().unwrap();
    let strangers = Keypair::generate_ed25519();
    let many = (1..2000).map(|p| format!("/ip4/127.0.0.1/tcp/{p}").parse().unwrap()).collect();
    let sealed = |pair: &Keypair, addresses| {
        let record = PeerRecord::new_interop(pair, addresses).unwrap();
        record.into_signed_envelope().into_protobuf_encoding()
    };
    let mut broken = stale.clone();
    *broken.last_mut().unwrap() ^= 1;
    let forged = [
        mallory.forge(&alice, &trap),
        stale,
        broken,
        sealed(&strangers, vec![trap.clone()]),
        vec![0x55; 3000],
    ];
    let known = mallory.tell(&bob, &forged).await;
    // A list with an oversized record is refused as a whole.
    let refused = sealed(&mallory.pair, many);
    assert!(refused.len() > 3 << 10);
    let hers: Vec<_> = known.iter().filter(is_hers).collect();
    assert_eq!(about(hers[0]).unwrap().addresses(), std::slice::from_ref(&second));
    assert_eq!((hers.len(), known.len()), (1, 2), "Alice's newest and Bob's own");
    for peer in bob.handle.peers().await.unwrap() {
        assert!(peer.addresses.iter().all(|a| a.address != trap), "{peer:?}");
    }
    assert!(bob.handle.stats().dropped >= 4);
    // A record of her own is accepted, within its limits.
    mallory.tell(&bob, &[sealed(&mallory.pair, vec![trap.clone()])]).await;
    bob.peer_where(mallory.key, signed(&trap)).await;
    bob.handle.shutdown().await;

    // The same after a restart.
    let bob = Node::start_at_home(2, TCP, &book).await;
    bob.handle.set_members(FEDERATION, members).await.unwrap();
    bob.peer_where(alice.key(), signed(&second)).await;
    bob.peer_where(mallory.key, signed(&trap)).await;
}
