//! A transport whose inbound connections hold a place until their handshake is over, and not for long.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, FutureExt, MapErr, TryFutureExt};
use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use tokio::time::{Instant, sleep};

use super::door::{Door, Over, Place};
use crate::limits::{FIRST_BYTES_TIMEOUT, INBOUND_HANDSHAKE_TIMEOUT};

tokio::task_local! {
    /// Set by the stream of the handshake under way when its first byte comes.
    static SPOKE: Arc<AtomicBool>;
}

/// What a stream is to set with its first byte, if it is of an inbound handshake.
pub(crate) fn spoken_flag() -> Option<Arc<AtomicBool>> {
    SPOKE.try_with(Arc::clone).ok()
}

/// Refusals in one go after which others get their turn.
const REFUSALS_IN_A_ROW: usize = 64;

/// See the module.
pub(crate) struct Guarded<T> {
    inner: T,
    door: Door,
    over: Over,
}

impl<T> Guarded<T> {
    pub(crate) const fn new(inner: T, door: Door, over: Over) -> Self {
        Self { inner, door, over }
    }
}

/// Why an inbound connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardError<E: Error + 'static> {
    #[error(transparent)]
    Inner(E),
    #[error("another connection needed the place")]
    PushedOut,
    #[error("it said nothing")]
    Silent,
    #[error("its handshake took too long")]
    Slow,
}

impl<E: Error + Send + Sync + 'static> From<GuardError<E>> for io::Error {
    fn from(error: GuardError<E>) -> Self {
        match error {
            GuardError::Inner(error) => Self::other(error),
            other => Self::other(other.to_string()),
        }
    }
}

impl<T> Transport for Guarded<T>
where
    T: Transport + Unpin,
    T::Output: 'static,
    T::Error: Error + Send + Sync + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<T::Output>>;
    type Dial = MapErr<T::Dial, fn(T::Error) -> io::Error>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address).map_err(|error| error.map(io::Error::other))
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = self.inner.dial(address, options);
        let to_io: fn(T::Error) -> io::Error = io::Error::other;
        dial.map(|dial| dial.map_err(to_io)).map_err(|error| error.map(io::Error::other))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        for _ in 0..REFUSALS_IN_A_ROW {
            let event = ready!(Pin::new(&mut self.inner).poll(cx)).map_err(io::Error::other);
            let TransportEvent::Incoming { send_back_addr, .. } = &event else {
                return Poll::Ready(
                    event.map_upgrade(|upgrade| upgrade.map_err(io::Error::other).boxed()),
                );
            };
            if let Some(place) = self.door.enter(self.over, send_back_addr, Instant::now()) {
                let over = self.over;
                return Poll::Ready(
                    event.map_upgrade(|upgrade| hold(place, over, upgrade).boxed()),
                );
            }
            // Dropped, it is closed.
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Runs a handshake in its place.
async fn hold<F, O, E>(place: Place, over: Over, handshake: F) -> io::Result<O>
where
    F: Future<Output = Result<O, E>>,
    E: Error + Send + Sync + 'static,
{
    let spoke = place.spoken_flag();
    if over == Over::Quic {
        // Its first datagram is what made the connection.
        spoke.store(true, Ordering::Relaxed);
    }
    let mut handshake = std::pin::pin!(SPOKE.scope(spoke, handshake));
    let mut silence = std::pin::pin!(sleep(FIRST_BYTES_TIMEOUT));
    let mut whole = std::pin::pin!(sleep(INBOUND_HANDSHAKE_TIMEOUT));
    let mut is_quiet = true;
    let error: GuardError<E> = loop {
        tokio::select! {
            done = &mut handshake => return done.map_err(|error| GuardError::Inner(error).into()),
            () = place.pushed_out() => break GuardError::PushedOut,
            () = &mut silence, if is_quiet => {
                if !place.has_spoken() {
                    place.ran_out();
                    break GuardError::Silent;
                }
                is_quiet = false;
            }
            () = &mut whole => {
                place.ran_out();
                break GuardError::Slow;
            }
        }
    };
    Err(error.into())
}
