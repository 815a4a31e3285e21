//! Floods of inbound connections that stay idle: members connect all the same.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fedshield_net::{MemberAddr, Multiaddr, NetEvent, Tuning};
use libp2p::futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::dummy;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

use crate::foreign::swarm_with;
use crate::proxy::Proxy;
use crate::support::{FEDERATION, Node, PATIENCE, TCP, tuning};

/// A member connects within this time during a flood.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn socket_of(address: &Multiaddr) -> SocketAddr {
    let parts: Vec<String> = address.to_string().split('/').map(str::to_owned).collect();
    (parts[2].parse::<Ipv4Addr>().unwrap(), parts[4].parse::<u16>().unwrap()).into()
}

async fn connect_from(to: SocketAddr, from: Ipv4Addr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    timeout(Duration::from_secs(1), socket.connect(to)).await.ok()?.ok()
}

/// Opens 70 connections at once and then `per_second`; `from` gives the source address of each,
/// `then` what it does.
fn flood<F>(
    to: &Multiaddr,
    per_second: u32,
    from: impl Fn(u32) -> Ipv4Addr + Send + 'static,
    then: impl Fn(TcpStream) -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let to = socket_of(to);
    tokio::spawn(async move {
        let mut beat = interval(Duration::from_secs(1) / per_second);
        for number in 0.. {
            if let Some(stream) = connect_from(to, from(number)).await {
                tokio::spawn(then(stream));
            }
            if number >= 70 {
                beat.tick().await;
            }
        }
    })
}

async fn hold(stream: TcpStream) {
    sleep(PATIENCE).await;
    drop(stream);
}

/// The beginning of an honest handshake, one byte a second.
async fn trickle(mut stream: TcpStream) {
    for byte in b"\x13/multistream/1.0.0\n\x07/noise\n" {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Bob, of whom Alice knows the address `known`, dials her from an address of his own during a
/// flood.
async fn gets_in(source: Ipv4Addr, known: &[&str], attack: impl Fn(&Multiaddr) -> JoinHandle<()>) {
    connects_during_a_flood(tuning(), source, known, attack).await;
}

async fn connects_during_a_flood(
    tuning: Tuning,
    source: Ipv4Addr,
    known: &[&str],
    attack: impl Fn(&Multiaddr) -> JoinHandle<()>,
) {
    let (alice, mut bob) = (Node::start_with(1, TCP, tuning).await, Node::start(2, TCP).await);
    let known = known.iter().map(|text| text.parse().unwrap()).collect();
    let member = MemberAddr { key: bob.key(), addresses: known };
    alice.handle.set_members(FEDERATION, vec![member]).await.unwrap();
    let attack = attack(&alice.address());
    sleep(Duration::from_secs(2)).await;
    let way = Proxy::before_from(&alice.address(), source).await;
    let member = MemberAddr { key: alice.key(), addresses: vec![way.address.clone()] };
    bob.handle.set_members(FEDERATION, vec![member]).await.unwrap();
    let came = timeout(SOON, bob.expect_up(alice.key())).await;
    attack.abort();
    let refused = alice.handle.stats().refused_connections;
    assert!(came.is_ok(), "the member was kept out; {refused} were refused");
}

const NON_MEMBER: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);
const MEMBER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
/// An address of Bob's that cannot be dialled.
const DEAD: &str = "/ip4/127.0.0.7/tcp/1";

/// A new source address each time.
fn everywhere(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f10_0000 + number)
}

#[tokio::test(flavor = "multi_thread")]
async fn six_idle_connections_a_second_from_one_address_do_not_lock_members_out() {
    gets_in(MEMBER, &[], |to| flood(to, 6, |_| NON_MEMBER, hold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_from_the_members_own_address_do_not_lock_it_out() {
    gets_in(MEMBER, &[], |to| flood(to, 6, |_| MEMBER, hold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_through_an_own_proxy_do_not_lock_others_out() {
    gets_in(Ipv4Addr::LOCALHOST, &[], |to| flood(to, 20, |_| Ipv4Addr::LOCALHOST, hold)).await;
}

/// A reverse proxy on another machine, through which more connections come than one origin may
/// make.
#[tokio::test(flavor = "multi_thread")]
async fn a_configured_proxy_is_not_one_origin() {
    let shared_origins = vec!["127.0.0.0/28".parse().unwrap()];
    let tuning = Tuning { shared_origins, ..tuning() };
    connects_during_a_flood(tuning, MEMBER, &[], |to| flood(to, 100, |_| MEMBER, hold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_reported_with_its_origin() {
    let alice = Node::start(1, TCP).await;
    assert!(alice.handle.health().borrow().refused_origins.is_empty());
    let attack = flood(&alice.address(), 6, |_| NON_MEMBER, hold);
    let mut health = alice.handle.health();
    let named = health.wait_for(|it| {
        it.refused_origins.iter().any(|it| it.origin == NON_MEMBER.to_string() && it.count >= 16)
    });
    timeout(PATIENCE, named).await.expect("never told").unwrap();
    attack.abort();
    assert!(alice.handle.stats().refused_connections >= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_from_everywhere_do_not_lock_out_a_member_from_a_known_address() {
    gets_in(MEMBER, &[DEAD], |to| flood(to, 200, everywhere, hold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_from_everywhere_do_not_lock_out_a_member_from_a_new_address() {
    gets_in(MEMBER, &[], |to| flood(to, 100, everywhere, hold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_send_one_byte_a_second_do_not_lock_members_out() {
    gets_in(MEMBER, &[], |to| flood(to, 6, |_| NON_MEMBER, trickle)).await;
    gets_in(MEMBER, &[DEAD], |to| flood(to, 100, everywhere, trickle)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed_soon() {
    let alice = Node::start(1, TCP).await;
    let stream = connect_from(socket_of(&alice.address()), NON_MEMBER).await.unwrap();
    // The node's own first message comes before.
    let ended = async {
        loop {
            stream.readable().await.unwrap();
            if matches!(stream.try_read(&mut [0; 64]), Ok(0)) {
                return;
            }
        }
    };
    timeout(SOON, ended).await.expect("it was kept");
}

/// Authenticated non-members use the limit on connections of non-members. One origin must not use
/// all of it, because somebody else may have been invited.
#[tokio::test(flavor = "multi_thread")]
async fn non_members_from_one_origin_do_not_lock_a_joiner_out() {
    let mut alice = Node::start(1, TCP).await;
    alice.handle.set_members(FEDERATION, vec![alice.member()]).await.unwrap();
    let way = Proxy::before_from(&alice.address(), NON_MEMBER).await;
    let mut non_members = Vec::new();
    for _ in 0..70 {
        let mut swarm = swarm_with(Keypair::generate_ed25519(), dummy::Behaviour);
        let to = way.address.clone();
        non_members.push(tokio::spawn(async move {
            loop {
                if !swarm.is_connected(&libp2p::PeerId::random())
                    && swarm.connected_peers().count() == 0
                {
                    let _ = swarm.dial(to.clone());
                }
                let _ = timeout(Duration::from_millis(500), swarm.select_next_some()).await;
            }
        }));
    }
    sleep(Duration::from_secs(4)).await;
    let joiner = Node::start(2, TCP).await;
    let (key, address) = (alice.key(), alice.address());
    let asked = joiner.handle.join_request(vec![address], key, b"let me in".to_vec(), SOON);
    let answered = alice.expect(|event| match event {
        NetEvent::JoinRequest { reply, .. } => {
            reply.answer(b"welcome".to_vec());
            Ok(())
        }
        other => Err(other),
    });
    let both = timeout(SOON, async { tokio::join!(asked, answered) }).await;
    for stranger in non_members {
        stranger.abort();
    }
    assert_eq!(both.expect("the joiner was kept out").0.unwrap(), b"welcome");
}
