//! Starting and stopping.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use fedshield_net::{MemberAddr, Net, NetClosed, Reach, SendError, StartError, reach_of};

use crate::support::{FEDERATION, MemoryStore, Node, TCP, config, greet, tuning};

async fn start_error(listen: &str) -> StartError {
    let config = config(9, &[listen], tuning(), Arc::new(MemoryStore::default()));
    Net::start(config).await.expect_err("it started")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port());
    let error = start_error(&address).await;
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.local_addr().unwrap().port());
    let error = start_error(&address).await;
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
}

/// libp2p alone would let a second daemon share the port.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_does_not_share_the_port_of_the_first() {
    let node = Node::start(1, TCP).await;
    let error = start_error(&node.address().to_string()).await;
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_makes_no_sense_is_named() {
    let error = start_error("/ip4/192.0.2.1/tcp/0").await;
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
    let error = start_error("/memory/7").await;
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_the_port_is_free_and_calls_say_so() {
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

/// libp2p reports the addresses of the interfaces one by one, loopback mostly first; others must not be told before all
/// are there.
#[tokio::test(flavor = "multi_thread")]
async fn on_all_interfaces_a_node_knows_where_others_reach_it() {
    // Sends nothing: it only asks which address would be the sender's.
    let route = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = match route.connect("198.51.100.1:9").and_then(|()| route.local_addr()) {
        Ok(address) if !address.ip().is_loopback() => address.ip(),
        _ => return eprintln!("skipped: this machine has no address but loopback"),
    };
    let listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
    let config = config(1, &listen, tuning(), Arc::new(MemoryStore::default()));
    let (alice, mut events) = Net::start(config).await.unwrap();
    let reading = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let beyond: Vec<_> =
        alice.listen_addresses().iter().filter(|a| reach_of(a) > Reach::Machine).collect();
    for protocol in ["tcp", "udp"] {
        let start = format!("/ip4/{own}/{protocol}/");
        assert!(beyond.iter().any(|a| a.to_string().starts_with(&start)), "{start}: {alice:?}");
    }

    // And that is where she is.
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
