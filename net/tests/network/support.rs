//! A node under test, and a store in memory that stands in for the daemon's folder.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fedshield_net::{
    AddressStore, Label, MemberAddr, Multiaddr, Net, NetConfig, NetEvent, NetHandle, NetState,
    ObjectStore, PartialObject, PeerView, SecretKey, SendError, Tuning,
};
use fedshield_protocol::ids::{FederationId, IdentityKey};
use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ChunkList, ObjectBuilder, ObjectRef};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The timeout of every wait, far longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const FEDERATION: FederationId = FederationId([0xfe; 32]);
pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

pub(crate) fn label(number: u8) -> Label {
    Label::new(number).unwrap()
}

pub(crate) fn tuning() -> Tuning {
    Tuning {
        stall_timeout: Duration::from_secs(20),
        redial_base: Duration::from_millis(50),
        redial_cap: Duration::from_millis(500),
        hello_interval: Duration::from_secs(1),
        stale_timeout: Duration::from_secs(1),
        ..Tuning::default()
    }
}

pub(crate) struct Node {
    pub(crate) handle: NetHandle,
    pub(crate) store: Arc<MemoryStore>,
    events: mpsc::Receiver<NetEvent>,
    /// Events that were received while the test waited for another.
    pub(crate) seen: Vec<NetEvent>,
}

impl Node {
    pub(crate) async fn start(seed: u8, listen: &str) -> Self {
        Self::start_with(seed, listen, tuning()).await
    }

    pub(crate) async fn start_with(seed: u8, listen: &str, tuning: Tuning) -> Self {
        let store = Arc::new(MemoryStore::default());
        Self::start_on(seed, listen, tuning, store).await
    }

    pub(crate) async fn start_on(
        seed: u8,
        listen: &str,
        tuning: Tuning,
        store: Arc<MemoryStore>,
    ) -> Self {
        let config = config(seed, &[listen], tuning, store.clone());
        Self::start_configured(config, store).await
    }

    /// A node with stored records that announces its addresses.
    pub(crate) async fn start_at_home(seed: u8, listen: &str, book: &MemoryBook) -> Self {
        let store = Arc::new(MemoryStore::default());
        let mut config = config(seed, &[listen], tuning(), store.clone());
        config.addresses = Arc::new(book.clone());
        let node = Self::start_configured(config, store).await;
        node.handle.announce(node.handle.listen_addresses()).await.unwrap();
        node
    }

    pub(crate) async fn start_configured(config: NetConfig, store: Arc<MemoryStore>) -> Self {
        let (handle, events) = Net::start(config).await.unwrap();
        Self { handle, store, events, seen: Vec::new() }
    }

    /// Waits until the network's state is as wanted.
    pub(crate) async fn state_where(&self, wanted: impl Fn(&NetState) -> bool) -> NetState {
        let mut state = self.handle.state();
        let reached = timeout(PATIENCE, state.wait_for(|state| wanted(state))).await;
        match reached {
            Ok(state) => state.unwrap().clone(),
            Err(_) => panic!("not reached; instead: {:?}", self.handle.state().borrow().clone()),
        }
    }

    /// Waits until the view of a member is as wanted.
    pub(crate) async fn peer_where(
        &self,
        key: IdentityKey,
        wanted: impl Fn(&PeerView) -> bool,
    ) -> PeerView {
        let mut last = None;
        let reached = timeout(PATIENCE, async {
            loop {
                let peers = self.handle.peers().await.unwrap();
                last = peers.into_iter().find(|peer| peer.key == key);
                if let Some(peer) = last.clone().filter(|peer| wanted(peer)) {
                    return peer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        match reached.await {
            Ok(peer) => peer,
            Err(_) => panic!("not reached; instead: {last:?}"),
        }
    }

    pub(crate) fn key(&self) -> IdentityKey {
        self.handle.local_key()
    }

    pub(crate) fn member(&self) -> MemberAddr {
        MemberAddr { key: self.key(), addresses: self.handle.listen_addresses() }
    }

    pub(crate) fn address(&self) -> Multiaddr {
        self.handle.listen_addresses()[0].clone()
    }

    /// Waits for an event, among those passed over first; `Err` gives an event back.
    pub(crate) async fn expect<T>(
        &mut self,
        mut pick: impl FnMut(NetEvent) -> Result<T, NetEvent>,
    ) -> T {
        let mut index = 0;
        while index < self.seen.len() {
            match pick(self.seen.remove(index)) {
                Ok(found) => return found,
                Err(event) => self.seen.insert(index, event),
            }
            index += 1;
        }
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await.expect("the network ended");
                match pick(event) {
                    Ok(found) => return found,
                    Err(event) => self.seen.push(event),
                }
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("the event did not come; instead: {:?}", self.seen),
        }
    }

    pub(crate) async fn expect_up(&mut self, key: IdentityKey) {
        self.expect(|event| match event {
            NetEvent::PeerUp(up) if up == key => Ok(()),
            other => Err(other),
        })
        .await;
    }

    pub(crate) async fn expect_down(&mut self, key: IdentityKey) {
        self.expect(|event| match event {
            NetEvent::PeerDown(down) if down == key => Ok(()),
            other => Err(other),
        })
        .await;
    }

    pub(crate) async fn expect_direct(&mut self, key: IdentityKey) -> Vec<u8> {
        self.expect(|event| match event {
            NetEvent::Direct { from, bytes } if from == key => Ok(bytes),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn expect_gossip(&mut self, key: IdentityKey) -> Vec<u8> {
        self.expect(|event| match event {
            NetEvent::Gossip { sender, bytes, .. } if sender == key => Ok(bytes),
            other => Err(other),
        })
        .await
    }

    /// The end of a fetch: nothing, or why it failed.
    pub(crate) async fn expect_fetched(
        &mut self,
        wanted: ObjectRef,
    ) -> Option<fedshield_net::FetchError> {
        self.expect(|event| match event {
            NetEvent::ObjectReady(object) if object == wanted => Ok(None),
            NetEvent::ObjectFailed { object, reason } if object == wanted => Ok(Some(reason)),
            other => Err(other),
        })
        .await
    }
}

pub(crate) fn config(
    seed: u8,
    listen: &[&str],
    tuning: Tuning,
    store: Arc<MemoryStore>,
) -> NetConfig {
    let mut bytes = [0x5a; 32];
    bytes[0] = seed;
    NetConfig {
        identity: SecretKey::new(bytes.into()),
        listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
        store,
        addresses: Arc::new(MemoryBook::default()),
        tuning,
    }
}

/// Makes the nodes one federation and waits until all can talk to all others. What happened until
/// then is forgotten: the first connections may have come before the other side knew us.
pub(crate) async fn connect(nodes: &mut [&mut Node]) {
    let members: Vec<MemberAddr> = nodes.iter().map(|node| node.member()).collect();
    for node in nodes.iter() {
        node.handle.set_members(FEDERATION, members.clone()).await.unwrap();
    }
    for from in 0..nodes.len() {
        for to in (0..nodes.len()).filter(|to| *to != from) {
            let (sender, key) = (nodes[from].handle.clone(), nodes[to].key());
            greet(&sender, key, b"hello").await;
            assert_eq!(nodes[to].expect_direct(sender.local_key()).await, b"hello");
        }
    }
    for node in nodes.iter_mut() {
        node.seen.clear();
    }
}

/// Sends until it arrives.
pub(crate) async fn greet(sender: &NetHandle, to: IdentityKey, bytes: &[u8]) {
    let sent = async {
        while let Err(error) = sender.send(to, bytes.to_vec()).await {
            let not_yet = matches!(error, SendError::NotConnected { .. } | SendError::Lost { .. });
            assert!(not_yet, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, sent).await.expect("never connected");
}

/// Bytes that differ from chunk to chunk.
pub(crate) fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Stored records that outlive their node.
#[derive(Clone, Default)]
pub(crate) struct MemoryBook(Arc<Mutex<Option<Vec<u8>>>>);

impl AddressStore for MemoryBook {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(bytes.to_vec());
        Ok(())
    }
}

type WriteHook = Box<dyn Fn(u32) + Send + Sync>;

/// Objects in memory. `writes` counts the chunks written; the hook sees each before it is written.
#[derive(Default)]
pub(crate) struct MemoryStore {
    inner: Arc<Inner>,
}

/// The bytes, and the chunks that are there.
type Arriving = (Vec<u8>, BTreeSet<u32>);

#[derive(Default)]
struct Inner {
    complete: Mutex<HashMap<ObjectRef, Vec<u8>>>,
    partial: Mutex<HashMap<ObjectRef, Arriving>>,
    writes: Mutex<u32>,
    hook: Mutex<Option<Arc<WriteHook>>>,
}

impl MemoryStore {
    pub(crate) fn add(&self, bytes: Vec<u8>) -> ObjectRef {
        let object = ObjectRef::of(&bytes);
        self.inner.complete.lock().unwrap().insert(object, bytes);
        object
    }

    pub(crate) fn get(&self, object: &ObjectRef) -> Option<Vec<u8>> {
        self.inner.complete.lock().unwrap().get(object).cloned()
    }

    pub(crate) fn writes(&self) -> u32 {
        *self.inner.writes.lock().unwrap()
    }

    pub(crate) fn on_write(&self, hook: impl Fn(u32) + Send + Sync + 'static) {
        *self.inner.hook.lock().unwrap() = Some(Arc::new(Box::new(hook)));
    }
}

pub(crate) fn list_of(bytes: &[u8]) -> ChunkList {
    let mut builder = ObjectBuilder::default();
    builder.update(bytes);
    builder.finish()
}

impl ObjectStore for MemoryStore {
    fn contains(&self, object: &ObjectRef) -> io::Result<bool> {
        Ok(self.inner.complete.lock().unwrap().contains_key(object))
    }

    fn chunk_list(&self, object: &ObjectRef) -> io::Result<ChunkList> {
        let bytes = self.get(object).ok_or(io::ErrorKind::NotFound)?;
        Ok(list_of(&bytes))
    }

    fn read_chunk(&self, object: &ObjectRef, index: u32) -> io::Result<Vec<u8>> {
        let complete = self.inner.complete.lock().unwrap();
        let bytes = complete.get(object).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.chunks(CHUNK_SIZE_BYTES).nth(index as usize).unwrap().to_vec())
    }

    fn resume(&self, list: &ChunkList) -> io::Result<Box<dyn PartialObject>> {
        let object = list.object;
        let empty = || (vec![0; object.length as usize], BTreeSet::new());
        self.inner.partial.lock().unwrap().entry(object).or_insert_with(empty);
        Ok(Box::new(Partial { inner: self.inner.clone(), object }))
    }
}

struct Partial {
    inner: Arc<Inner>,
    object: ObjectRef,
}

impl PartialObject for Partial {
    fn missing(&self) -> Vec<u32> {
        let partial = self.inner.partial.lock().unwrap();
        let (_, held) = &partial[&self.object];
        (0..self.object.chunk_count()).filter(|index| !held.contains(index)).collect()
    }

    fn write_chunk(&mut self, index: u32, bytes: &[u8]) -> io::Result<()> {
        let hook = self.inner.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(index);
        }
        let mut partial = self.inner.partial.lock().unwrap();
        let (all, held) = partial.get_mut(&self.object).unwrap();
        let start = index as usize * CHUNK_SIZE_BYTES;
        all[start..start + bytes.len()].copy_from_slice(bytes);
        held.insert(index);
        *self.inner.writes.lock().unwrap() += 1;
        Ok(())
    }

    fn complete(self: Box<Self>) -> io::Result<()> {
        let (bytes, _) = self.inner.partial.lock().unwrap().remove(&self.object).unwrap();
        self.inner.complete.lock().unwrap().insert(self.object, bytes);
        Ok(())
    }
}
