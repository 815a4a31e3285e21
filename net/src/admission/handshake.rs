//! The handshake of an inbound connection: it holds a slot, has to send its first byte soon and to
//! complete in time.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::sleep;

use super::control::{HandshakeSlot, TransportKind};
use crate::limits::{FIRST_BYTE_TIMEOUT, INBOUND_HANDSHAKE_TIMEOUT};

tokio::task_local! {
    /// Set by the stream under the current handshake when its first byte arrives.
    static FIRST_BYTE: Arc<AtomicBool>;
}

/// The flag that a stream sets with its first byte; none outside an inbound handshake.
pub(crate) fn first_byte_flag() -> Option<Arc<AtomicBool>> {
    FIRST_BYTE.try_with(Arc::clone).ok()
}

/// Why an inbound handshake did not complete.
#[derive(Debug, thiserror::Error)]
enum HandshakeError<E: Error + 'static> {
    #[error(transparent)]
    Inner(E),
    #[error("evicted: another connection needed the slot")]
    Evicted,
    #[error("no byte within {FIRST_BYTE_TIMEOUT:?}")]
    Silent,
    #[error("no handshake within {INBOUND_HANDSHAKE_TIMEOUT:?}")]
    TimedOut,
}

impl<E: Error + Send + Sync + 'static> From<HandshakeError<E>> for io::Error {
    fn from(error: HandshakeError<E>) -> Self {
        match error {
            HandshakeError::Inner(error) => Self::other(error),
            other => Self::other(other.to_string()),
        }
    }
}

/// Runs `handshake` while it holds `slot`.
///
/// # Errors
/// What the handshake fails with, or that it was evicted, silent or too slow.
pub(crate) async fn run_handshake<F, O, E>(slot: HandshakeSlot, handshake: F) -> io::Result<O>
where
    F: Future<Output = Result<O, E>>,
    E: Error + Send + Sync + 'static,
{
    let flag = slot.first_byte_flag();
    if slot.kind() == TransportKind::Quic {
        // The connection exists because of its first datagram.
        flag.store(true, Ordering::Relaxed);
    }
    let mut handshake = std::pin::pin!(FIRST_BYTE.scope(flag, handshake));
    let mut first_byte = std::pin::pin!(sleep(FIRST_BYTE_TIMEOUT));
    let mut whole = std::pin::pin!(sleep(INBOUND_HANDSHAKE_TIMEOUT));
    let mut is_silent = true;
    let error: HandshakeError<E> = loop {
        tokio::select! {
            done = &mut handshake => {
                return done.map_err(|error| HandshakeError::Inner(error).into());
            }
            () = slot.evicted() => break HandshakeError::Evicted,
            () = &mut first_byte, if is_silent => {
                if !slot.has_first_byte() {
                    slot.note_timeout();
                    break HandshakeError::Silent;
                }
                is_silent = false;
            }
            () = &mut whole => {
                slot.note_timeout();
                break HandshakeError::TimedOut;
            }
        }
    };
    Err(error.into())
}
