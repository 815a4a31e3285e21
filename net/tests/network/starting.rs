//! Starting and stopping.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use fedshield_net::{Net, NetClosed, SendError, StartError};

use crate::support::{FEDERATION, MemoryStore, Node, TCP, config, tuning};

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
