//! Starting and stopping.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use fedshield_net::{
    AddressScope, MemberAddr, Net, NetClosed, NetState, SendError, StartError, scope_of,
};

use crate::namespaces;
use crate::support::{FEDERATION, MemoryStore, Node, TCP, config, greet, tuning};

async fn start_error(listen: &str) -> StartError {
    let config = config(9, &[listen], tuning(), Arc::new(MemoryStore::default()));
    Net::start(config).await.expect_err("it started")
}

async fn start_on(listen: &[&str]) -> Node {
    let store = Arc::new(MemoryStore::default());
    Node::start_configured(config(9, listen, tuning(), store.clone()), store).await
}

/// A port that is free at the moment, on TCP and UDP, for IPv4 and IPv6.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_retried() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addresses = [
        format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port()),
        format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.local_addr().unwrap().port()),
    ];
    let node = start_on(&[&addresses[0], &addresses[1]]).await;
    let state = node.handle.state().borrow().clone();
    assert!(state.listening.is_empty(), "{state:?}");
    let waiting: Vec<String> = state.waiting.iter().map(|w| w.address.to_string()).collect();
    assert_eq!(waiting, addresses);
    for waiting in &state.waiting {
        assert_eq!(waiting.reason, "its port is in use by another process");
    }
    drop((tcp, udp));
    let state = node.state_where(|state| state.waiting.is_empty()).await;
    assert_eq!(state.listening.len(), 2, "{state:?}");
    let mut there = Node::start(2, TCP).await;
    let member = MemberAddr { key: node.key(), addresses: state.listening };
    node.handle.set_members(FEDERATION, vec![there.member()]).await.unwrap();
    there.handle.set_members(FEDERATION, vec![member]).await.unwrap();
    there.expect_up(node.key()).await;
}

/// libp2p alone would let a second daemon share the port.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_does_not_share_the_port_of_the_first() {
    let node = Node::start(1, TCP).await;
    let second = start_on(&[&node.address().to_string()]).await;
    assert_eq!(second.handle.listen_addresses(), []);
    node.handle.shutdown().await;
    second.state_where(|state| state.listening.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_missing_address_of_several_does_not_block_the_others() {
    // TEST-NET-1: no machine has it.
    let node = start_on(&[TCP, "/ip4/192.0.2.1/tcp/7000"]).await;
    let state = node.handle.state().borrow().clone();
    assert_eq!(state.listening.len(), 1, "{state:?}");
    assert_eq!(state.waiting[0].address.to_string(), "/ip4/192.0.2.1/tcp/7000");
    assert_eq!(state.waiting[0].reason, "no interface of this machine has its IP address");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_ip_share_a_port_in_any_order() {
    for transport in ["tcp/PORT", "udp/PORT/quic-v1"] {
        for kinds in [["/ip4/0.0.0.0", "/ip6/::"], ["/ip6/::", "/ip4/0.0.0.0"]] {
            let port = free_port().to_string();
            let of = |kind: &str| format!("{kind}/{}", transport.replace("PORT", &port));
            let node = start_on(&[&of(kinds[0]), &of(kinds[1])]).await;
            // A machine without IPv6 reports and retries it.
            let state = node.handle.state().borrow().clone();
            let has_ip6 = UdpSocket::bind("[::1]:0").is_ok();
            assert_eq!(state.waiting.is_empty(), has_ip6, "{kinds:?}: {state:?}");
            assert!(state.listening.iter().any(|a| a.to_string().starts_with("/ip4/127.0.0.1/")));
            node.handle.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_listed_twice_is_reported() {
    let port = free_port();
    let one = format!("/ip4/127.0.0.1/tcp/{port}");
    let all = format!("/ip4/0.0.0.0/tcp/{port}");
    for (listen, repeated, by) in
        [([&one, &one], &one, &one), ([&one, &all], &one, &all), ([&all, &one], &one, &all)]
    {
        let node = start_on(&[listen[0], listen[1]]).await;
        let state = node.handle.state().borrow().clone();
        assert!(state.waiting.is_empty() && !state.listening.is_empty(), "{state:?}");
        assert_eq!(state.repeated.len(), 1);
        assert_eq!(state.repeated[0].address.to_string(), *repeated);
        assert_eq!(state.repeated[0].covered_by.to_string(), *by);
        node.handle.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_address_is_an_error() {
    for (address, reason) in [
        ("/memory/7", "neither /ip4 nor /ip6"),
        ("/dns4/bank.example/tcp/7000", "external_addresses"),
        ("/ip4/127.0.0.1/tcp/7000/ws", "ws"),
        ("/ip4/127.0.0.1/udp/7000", "/quic-v1"),
    ] {
        let error = start_error(address).await.to_string();
        assert!(error.contains(address) && error.contains(reason), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_the_port_is_free_and_calls_fail() {
    let node = Node::start(1, TCP).await;
    let address = node.address().to_string();
    node.handle.shutdown().await;
    node.handle.shutdown().await;
    let closed = node.handle.send(node.key(), vec![1]).await;
    assert_eq!(closed, Err(SendError::Closed(NetClosed)));
    assert!(node.handle.set_members(FEDERATION, vec![]).await.is_err());
    let again = Node::start(1, &address).await;
    assert_eq!(again.address().to_string(), address);
}

/// libp2p reports the addresses of the interfaces one by one, loopback mostly first; none may be
/// announced before all are reported.
#[tokio::test(flavor = "multi_thread")]
async fn on_all_interfaces_a_node_knows_its_reachable_addresses() {
    // Sends nothing: connecting a UDP socket only selects the source address.
    let route = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = match route.connect("198.51.100.1:9").and_then(|()| route.local_addr()) {
        Ok(address) if !address.ip().is_loopback() => address.ip(),
        _ => return eprintln!("skipped: this machine has no address but loopback"),
    };
    let listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
    let config = config(1, &listen, tuning(), Arc::new(MemoryStore::default()));
    let (alice, mut events) = Net::start(config).await.unwrap();
    let reading = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let mut beyond = alice.listen_addresses();
    beyond.retain(|address| scope_of(address) > AddressScope::Host);
    for protocol in ["tcp", "udp"] {
        let start = format!("/ip4/{own}/{protocol}/");
        assert!(beyond.iter().any(|a| a.to_string().starts_with(&start)), "{start}: {alice:?}");
    }

    // She can be reached there.
    for address in beyond.into_iter().filter(|a| a.to_string().contains(&own.to_string())) {
        let bob = Node::start(2, TCP).await;
        let key = alice.local_key();
        let known = MemberAddr { key, addresses: vec![address.clone()] };
        let unknown = MemberAddr { key: bob.key(), addresses: vec![] };
        alice.set_members(FEDERATION, vec![unknown]).await.unwrap();
        bob.handle.set_members(FEDERATION, vec![known]).await.unwrap();
        greet(&bob.handle, key, b"hello").await;
        bob.handle.shutdown().await;
    }
    alice.shutdown().await;
    reading.abort();
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

#[test]
fn an_interface_that_comes_late_and_goes_again_is_followed() {
    namespaces::run("starting::with_own_interfaces", "-rn", "ip link set lo up");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "changes interfaces: run by the test above in a namespace of its own"]
async fn with_own_interfaces() {
    let (one, all) = ("/ip4/10.9.9.9/tcp/7001", "/ip4/0.0.0.0/tcp/7002");
    let node = start_on(&[one, all]).await;
    let here = |state: &NetState, address: &str| {
        state.listening.iter().any(|listening| listening.to_string() == address)
    };
    let before = node.handle.state().borrow().clone();
    assert_eq!(before.waiting[0].address.to_string(), one);
    let on_all = "/ip4/10.9.9.9/tcp/7002";
    for _ in 0..2 {
        assert!(ip("addr add 10.9.9.9/24 dev lo"));
        node.state_where(|state| here(state, one) && here(state, on_all)).await;
        assert!(ip("addr del 10.9.9.9/24 dev lo"));
        let gone = node.state_where(|state| !here(state, one) && !here(state, on_all)).await;
        assert_eq!(gone.waiting[0].reason, "no interface of this machine has its IP address");
    }
}
