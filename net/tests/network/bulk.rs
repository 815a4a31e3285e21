//! Bulk transfer: objects are fetched, verified and resumed, from several holders, within the
//! memory budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fedshield_net::{Audience, FetchError, NetEvent, ObjectCallError, Tuning};
use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ObjectRef};

use crate::support::{Node, QUIC, TCP, connect, content, label, tuning};

const CHUNK: u64 = CHUNK_SIZE_BYTES as u64;
/// Frame header and chunk index.
const CHUNK_OVERHEAD: u64 = 9;

fn one_chunk_at_a_time() -> Tuning {
    Tuning { fetch_budget_chunks: 1, ..tuning() }
}

async fn five_mebibytes_and_a_bit(listen: &str) {
    let (mut alice, mut bob) = (Node::start(1, listen).await, Node::start(2, listen).await);
    connect(&mut [&mut alice, &mut bob]).await;
    let bytes = content(5 * CHUNK_SIZE_BYTES + 17, 1);
    let object = alice.store.add(bytes.clone());
    alice.handle.serve(object, Audience::Everyone, label(3)).unwrap();
    bob.handle.fetch(object, vec![alice.key()], label(4)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
    assert_eq!(bob.store.get(&object), Some(bytes));

    let (list, requests) = (5 + 6 * 32, 45 + 6 * 49);
    let expected = object.length + 6 * CHUNK_OVERHEAD + list;
    let fetched = bob.handle.stats().object(label(4));
    assert_eq!((fetched.bytes_in, fetched.bytes_out), (expected, requests));
    assert!(bob.handle.stats().transport.bytes_in > expected);

    // It is stored: a second fetch makes no request.
    bob.handle.fetch(object, vec![alice.key()], label(4)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
    assert_eq!(bob.handle.stats().object(label(4)), fetched);
    // The sender counts a frame after it is written, which may be a moment after it was received.
    alice.handle.shutdown().await;
    let served = alice.handle.stats().object(label(3));
    assert_eq!((served.bytes_in, served.bytes_out), (requests, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_fetched_over_tcp() {
    five_mebibytes_and_a_bit(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_fetched_over_quic() {
    five_mebibytes_and_a_bit(QUIC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_and_empty_objects_share_the_stream_with_large_ones() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    connect(&mut [&mut alice, &mut bob]).await;
    let mut objects = Vec::new();
    for (number, length) in [3 * CHUNK_SIZE_BYTES, 0, 1, CHUNK_SIZE_BYTES, 77].iter().enumerate() {
        objects.push(alice.store.add(content(*length, number as u64)));
    }
    for object in &objects {
        alice.handle.serve(*object, Audience::Everyone, label(0)).unwrap();
        bob.handle.fetch(*object, vec![alice.key()], label(0)).unwrap();
    }
    for object in &objects {
        assert_eq!(bob.expect_fetched(*object).await, None);
        assert_eq!(bob.store.get(object), alice.store.get(object));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_holder_completes_a_fetch() {
    let (mut alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let mut carol = Node::start_with(3, TCP, one_chunk_at_a_time()).await;
    connect(&mut [&mut alice, &mut bob, &mut carol]).await;
    let bytes = content(16 * CHUNK_SIZE_BYTES, 1);
    let object = alice.store.add(bytes.clone());
    bob.store.add(bytes.clone());
    alice.handle.serve(object, Audience::Everyone, label(1)).unwrap();
    bob.handle.serve(object, Audience::Everyone, label(1)).unwrap();

    // Carol's store blocks at the third chunk until Alice is shut down.
    let (reached, is_reached) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let (reached, wait) = (Mutex::new(Some(reached)), Mutex::new(wait));
    carol.store.on_write(move |index| {
        if index == 2
            && let Some(reached) = reached.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
    });
    carol.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    is_reached.await.unwrap();
    alice.handle.shutdown().await;
    carol.handle.fetch(object, vec![bob.key()], label(1)).unwrap();
    go_on.send(()).unwrap();

    assert_eq!(carol.expect_fetched(object).await, None);
    assert_eq!(carol.store.get(&object), Some(bytes));
    assert_eq!(carol.store.writes(), 16, "no chunk was written twice");
    bob.handle.shutdown().await;
    let served = bob.handle.stats().object(label(1)).bytes_out;
    assert!((CHUNK..14 * CHUNK).contains(&served), "Bob gave {served} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_fetch_is_resumed() {
    let mut alice = Node::start(1, TCP).await;
    let mut bob = Node::start_with(2, TCP, one_chunk_at_a_time()).await;
    connect(&mut [&mut alice, &mut bob]).await;
    let object = alice.store.add(content(12 * CHUNK_SIZE_BYTES, 1));
    alice.handle.serve(object, Audience::Everyone, label(1)).unwrap();
    let (stop, stopping) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let (stop, wait) = (Mutex::new(Some(stop)), Mutex::new(wait));
    bob.store.on_write(move |_| {
        if let Some(stop) = stop.lock().unwrap().take() {
            stop.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
    });
    bob.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    stopping.await.unwrap();
    // Stopped and requested again while the old fetch is still inside the store.
    bob.handle.stop_fetch(&object);
    bob.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
    assert_eq!(bob.store.writes(), 12, "no chunk was written twice");
    let ready = |event: &&NetEvent| matches!(event, NetEvent::ObjectReady(_));
    assert_eq!(bob.seen.iter().filter(ready).count(), 0, "one event for one fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_backpressure() {
    let mut alice = Node::start(1, TCP).await;
    let budget = 2;
    let tuning = Tuning { fetch_budget_chunks: budget, ..tuning() };
    let mut bob = Node::start_with(2, TCP, tuning).await;
    connect(&mut [&mut alice, &mut bob]).await;
    let object = alice.store.add(content(24 * CHUNK_SIZE_BYTES, 1));
    alice.handle.serve(object, Audience::Everyone, label(1)).unwrap();

    // At each write: the bytes received are those written and at most the budget.
    let handle = bob.handle.clone();
    let written = AtomicU64::new(0);
    let excess = Arc::new(AtomicU64::new(0));
    let seen = excess.clone();
    bob.store.on_write(move |_| {
        let came = handle.stats().object(label(1)).bytes_in;
        let chunks = written.fetch_add(1, Ordering::SeqCst) + budget as u64;
        let list = 5 + 24 * 32;
        let allowed = list + chunks * (CHUNK + CHUNK_OVERHEAD);
        seen.fetch_max(came.saturating_sub(allowed), Ordering::SeqCst);
    });
    bob.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    assert_eq!(bob.expect_fetched(object).await, None);
    assert_eq!(excess.load(Ordering::SeqCst), 0, "bytes beyond the budget were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_served_only_to_its_audience() {
    let mut alice = Node::start(1, TCP).await;
    let (mut bob, mut carol) = (Node::start(2, TCP).await, Node::start(3, TCP).await);
    connect(&mut [&mut alice, &mut bob, &mut carol]).await;
    let object = alice.store.add(b"a sealed share for Bob".to_vec());
    let audience = Audience::Members(vec![bob.key()]);
    alice.handle.serve(object, audience, label(2)).unwrap();
    for node in [&bob, &carol] {
        node.handle.fetch(object, vec![alice.key()], label(2)).unwrap();
    }
    assert_eq!(bob.expect_fetched(object).await, None);
    let failed = carol.expect_fetched(object).await.unwrap();
    assert!(matches!(failed, FetchError::NoHolderLeft { .. }), "{failed}");
    assert_eq!(carol.store.get(&object), None);

    // It is no longer served.
    alice.handle.stop_serving(&object);
    let other = alice.store.add(b"never served".to_vec());
    carol.handle.fetch(other, vec![alice.key(), bob.key()], label(2)).unwrap();
    assert!(carol.expect_fetched(other).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_without_a_reachable_holder_stalls() {
    let alice = Node::start(1, TCP).await;
    let stall_timeout = std::time::Duration::from_secs(1);
    let mut bob = Node::start_with(2, TCP, Tuning { stall_timeout, ..tuning() }).await;
    let object = ObjectRef::of(b"somewhere else");
    bob.handle.fetch(object, vec![alice.key()], label(1)).unwrap();
    let failed = bob.expect_fetched(object).await.unwrap();
    assert!(matches!(failed, FetchError::Stalled { .. }), "{failed}");
    assert!(failed.to_string().contains("not connected"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_calls_are_refused() {
    let node = Node::start(1, TCP).await;
    let object = ObjectRef::of(b"x");
    let own = node.handle.fetch(object, vec![node.key()], label(1));
    assert_eq!(own, Err(ObjectCallError::NoHolder));
    let length = MAX_OBJECT_BYTES + 1;
    let large = ObjectRef { length, ..object };
    let refused = node.handle.serve(large, Audience::Everyone, label(1));
    assert_eq!(refused, Err(ObjectCallError::TooLarge { length }));
    let refused = node.handle.fetch(large, vec![node.key()], label(1));
    assert_eq!(refused, Err(ObjectCallError::TooLarge { length }));
}
