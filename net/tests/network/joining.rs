//! The join protocol, for nodes that are not members yet.

use std::time::Duration;

use fedshield_net::limits::{JOIN_RATE_PER_PEER, MAX_JOIN_REPLY_BYTES, MAX_JOIN_REQUEST_BYTES};
use fedshield_net::{JoinError, JoinReply, NetEvent};
use fedshield_protocol::ids::IdentityKey;

use crate::support::{FEDERATION, Node, PATIENCE, QUIC, TCP};

async fn next_request(node: &mut Node) -> (IdentityKey, Vec<u8>, JoinReply) {
    node.expect(|event| match event {
        NetEvent::JoinRequest { from, bytes, reply } => Ok((from, bytes, reply)),
        other => Err(other),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_non_member_gets_an_answer_of_the_largest_size() {
    let (mut owner, joiner) = (Node::start(1, TCP).await, Node::start(2, QUIC).await);
    owner.handle.set_members(FEDERATION, vec![owner.member()]).await.unwrap();
    let (key, address) = (owner.key(), owner.address());
    let request = vec![3; MAX_JOIN_REQUEST_BYTES];
    for _ in 0..2 {
        let asked =
            joiner.handle.join_request(vec![address.clone()], key, request.clone(), PATIENCE);
        let answered = async {
            let (from, bytes, reply) = next_request(&mut owner).await;
            assert_eq!(from, joiner.key());
            assert_eq!(bytes, request);
            reply.answer(vec![4; MAX_JOIN_REPLY_BYTES]);
        };
        let (answer, ()) = tokio::join!(asked, answered);
        assert_eq!(answer.unwrap(), vec![4; MAX_JOIN_REPLY_BYTES]);
    }
    // It was never treated as a member.
    assert!(owner.handle.connected().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_dropped_is_declined() {
    let (mut owner, joiner) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let asked = joiner.handle.join_request(vec![owner.address()], owner.key(), vec![1], PATIENCE);
    let declined = async {
        drop(next_request(&mut owner).await);
    };
    let (answer, ()) = tokio::join!(asked, declined);
    assert_eq!(answer, Err(JoinError::Declined));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_problem_of_an_invite_has_its_error() {
    let (owner, other) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let joiner = Node::start(3, TCP).await;
    let ask = |address, key| joiner.handle.join_request(vec![address], key, vec![1], PATIENCE);
    let error = ask(owner.address(), other.key()).await.unwrap_err();
    assert!(matches!(error, JoinError::WrongPeer { .. }), "{error}");
    let error = ask("/ip4/127.0.0.1/tcp/1".parse().unwrap(), owner.key()).await.unwrap_err();
    assert!(matches!(error, JoinError::Unreachable { .. }), "{error}");
    let error = ask(joiner.address(), joiner.key()).await.unwrap_err();
    assert!(matches!(error, JoinError::Key { .. }), "{error}");
    let long = vec![0; MAX_JOIN_REQUEST_BYTES + 1];
    let error = joiner.handle.join_request(vec![], owner.key(), long, PATIENCE).await.unwrap_err();
    assert!(matches!(error, JoinError::TooLarge { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_a_timeout() {
    let (mut owner, joiner) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let waited = Duration::from_secs(1);
    let asked = joiner.handle.join_request(vec![owner.address()], owner.key(), vec![1], waited);
    let held = tokio::join!(asked, next_request(&mut owner));
    assert_eq!(held.0, Err(JoinError::Timeout { waited }));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_rate_are_refused_without_the_daemon() {
    let (mut owner, joiner) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let (key, address) = (owner.key(), owner.address());
    let answering = tokio::spawn(async move {
        loop {
            next_request(&mut owner).await.2.answer(vec![]);
        }
    });
    let mut busy = 0;
    for _ in 0..10 * JOIN_RATE_PER_PEER.burst {
        match joiner.handle.join_request(vec![address.clone()], key, vec![1], PATIENCE).await {
            Ok(_) => {}
            Err(JoinError::Busy) => busy += 1,
            Err(error) => panic!("{error}"),
        }
    }
    answering.abort();
    assert!(busy > 0);
}
