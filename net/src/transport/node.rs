//! The one transport that the swarm sees, around QUIC and TCP. Outbound it resolves names and gives
//! QUIC a head start; inbound it puts every connection through admission control before its
//! handshake.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, FutureExt};
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use tokio::time::{Instant, sleep_until};

use super::quic_first::{QuicHeadStart, is_quic};
use super::resolver::{IpFilter, Resolver, name_in, with_ip};
use crate::admission::{AdmissionControl, TransportKind, run_handshake};

/// Refused connections in one poll, after which other tasks get their turn.
const MAX_REFUSALS_PER_POLL: usize = 64;

/// The transport that the swarm sees; see the module.
pub(super) struct NodeTransport<T> {
    /// Shared with the dials that are still resolving their names.
    inner: Arc<Mutex<T>>,
    resolver: Resolver,
    head_start: QuicHeadStart,
    admission: AdmissionControl,
}

impl<T> NodeTransport<T> {
    pub(super) fn new(inner: T, resolver: Resolver, admission: AdmissionControl) -> Self {
        let inner = Arc::new(Mutex::new(inner));
        Self { inner, resolver, head_start: QuicHeadStart::default(), admission }
    }
}

impl<T> Transport for NodeTransport<T>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Output: 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<T::Output>>;
    type Dial = BoxFuture<'static, io::Result<T::Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        lock(&self.inner).listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        lock(&self.inner).remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let not_before = self.head_start.not_before(&address, Instant::now());
        let dial = match name_in(&address) {
            None => lock(&self.inner).dial(address, options)?.boxed(),
            Some((name, filter)) => {
                let (inner, resolver) = (self.inner.clone(), self.resolver.clone());
                dial_name(inner, resolver, name, filter, address, options).boxed()
            }
        };
        Ok(match not_before {
            // Nothing is sent before the first poll.
            Some(at) => sleep_until(at).then(|()| dial).boxed(),
            None => dial,
        })
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        for _ in 0..MAX_REFUSALS_PER_POLL {
            let event = ready!(Pin::new(&mut *lock(&self.inner)).poll(cx));
            let TransportEvent::Incoming { send_back_addr, .. } = &event else {
                return Poll::Ready(event.map_upgrade(FutureExt::boxed));
            };
            let kind =
                if is_quic(send_back_addr) { TransportKind::Quic } else { TransportKind::Tcp };
            if let Some(slot) = self.admission.acquire(kind, send_back_addr, Instant::now()) {
                let admitted =
                    event.map_upgrade(|handshake| run_handshake(slot, handshake).boxed());
                return Poll::Ready(admitted);
            }
            // Dropping the event closes the connection.
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Dials the IP addresses behind `name`, one after the other, until one answers.
async fn dial_name<T>(
    inner: Arc<Mutex<T>>,
    resolver: Resolver,
    name: String,
    filter: IpFilter,
    address: Multiaddr,
    options: DialOpts,
) -> io::Result<T::Output>
where
    T: Transport<Error = io::Error>,
{
    let mut last = None;
    for ip in resolver.resolve(&name, filter).await? {
        // A statement of its own, so that the lock is released before the await.
        let dialled = lock(&inner).dial(with_ip(&address, ip), options);
        let outcome = match dialled {
            Ok(connecting) => connecting.await,
            Err(TransportError::Other(error)) => Err(error),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        match outcome {
            Ok(connection) => return Ok(connection),
            Err(error) => last = Some((ip, error)),
        }
    }
    Err(match last {
        Some((ip, error)) => io::Error::new(error.kind(), format!("{name} is {ip}: {error}")),
        None => io::ErrorKind::NotFound.into(),
    })
}

fn lock<T>(inner: &Mutex<T>) -> MutexGuard<'_, T> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
