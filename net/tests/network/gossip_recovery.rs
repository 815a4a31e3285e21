//! A connected member that gossip does not reach: reported, and solved by reconnecting.

use fedshield_net::{MemberAddr, identity_key_of};
use futures::StreamExt;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::foreign::swarm_with;
use crate::support::{FEDERATION, Node, PATIENCE, TCP};

/// An older version whose subscription is lost over its first connection.
async fn subscribes_after_reconnect() -> MemberAddr {
    let pair = Keypair::generate_ed25519();
    let mut config = gossipsub::ConfigBuilder::default();
    let config = config.protocol_id_prefix("/fedshield/gossip").build().unwrap();
    let keys = MessageAuthenticity::Signed(pair.clone());
    let gossip = gossipsub::Behaviour::<gossipsub::IdentityTransform>::new(keys, config).unwrap();
    let mut swarm = swarm_with(pair, gossip);
    swarm.listen_on(TCP.parse().unwrap()).unwrap();
    let key = identity_key_of(swarm.local_peer_id()).unwrap();
    let (found, address) = oneshot::channel();
    let mut found = Some(found);
    tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => {
                    if let Some(found) = found.take() {
                        found.send(address).unwrap();
                    }
                }
                SwarmEvent::ConnectionClosed { .. } => {
                    let topic = IdentTopic::new(format!("fedshield/1/{FEDERATION}"));
                    swarm.behaviour_mut().subscribe(&topic).unwrap();
                }
                _ => {}
            }
        }
    });
    MemberAddr { key, addresses: vec![address.await.unwrap()] }
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_that_does_not_pass_is_reported_and_the_member_reconnected() {
    let mut alice = Node::start(1, TCP).await;
    let bob = subscribes_after_reconnect().await;
    alice.handle.set_members(FEDERATION, vec![alice.member(), bob.clone()]).await.unwrap();
    alice.expect_up(bob.key).await;
    let mut health = alice.handle.health();
    let said = health.wait_for(|it| it.is_mesh_empty && it.not_received == [bob.key]);
    timeout(PATIENCE, said).await.expect("nothing is said").unwrap();
    alice.expect_down(bob.key).await;
    alice.expect_up(bob.key).await;
    let recovered = health.wait_for(|it| !it.is_mesh_empty && it.not_received.is_empty());
    timeout(PATIENCE, recovered).await.expect("it does not recover").unwrap();
    alice.handle.gossip(b"to all".to_vec()).await.unwrap();
}
