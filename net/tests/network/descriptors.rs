//! Few file descriptors and many inbound connections: members keep theirs, and it is reported.

use fedshield_net::{MemberAddr, Tuning};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{FEDERATION, Node, PATIENCE, TCP, connect, tuning};

fn port_of(node: &Node) -> u16 {
    let address = node.address().to_string();
    address.rsplit('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_connections_are_refused_and_members_are_kept() {
    let few = Tuning { max_descriptors: 64, ..tuning() };
    let mut alice = Node::start_with(1, TCP, few).await;
    let mut bob = Node::start(2, TCP).await;
    connect(&mut [&mut alice, &mut bob]).await;
    assert!(!alice.handle.health().borrow().refuses_connections);

    // Non-members that send nothing.
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(("127.0.0.1", port_of(&alice))).await.unwrap());
    }
    let mut health = alice.handle.health();
    let said = health.wait_for(|it| it.refuses_connections && it.max_connections == 32);
    timeout(PATIENCE, said).await.expect("never reported").unwrap();
    // Only those with a handshake slot keep a descriptor; the others are closed.
    let mut hung_up = 0;
    for stream in idle.iter().rev() {
        let ended = timeout(PATIENCE, stream.readable()).await.is_ok();
        let mut byte = [0; 64];
        hung_up += usize::from(ended && matches!(stream.try_read(&mut byte), Ok(0) | Err(_)));
        if hung_up >= 40 {
            break;
        }
    }
    assert!(hung_up >= 40, "only {hung_up} were refused");

    // The member is still connected, and one that Alice dials connects.
    alice.handle.send(bob.key(), b"still here".to_vec()).await.unwrap();
    let mut carol = Node::start(3, TCP).await;
    let unknown = MemberAddr { key: alice.key(), addresses: vec![] };
    carol.handle.set_members(FEDERATION, vec![unknown]).await.unwrap();
    let members = vec![bob.member(), carol.member()];
    alice.handle.set_members(FEDERATION, members).await.unwrap();
    carol.expect_up(alice.key()).await;
    drop(idle);
    let over = health.wait_for(|it| !it.refuses_connections);
    timeout(PATIENCE, over).await.expect("said for ever").unwrap();
}
