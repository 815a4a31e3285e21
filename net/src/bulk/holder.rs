//! The holding side: answers the requests on the streams that members open.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use futures::{AsyncRead, AsyncWrite, StreamExt};
use tokio::time::Instant;

use super::frame::{HEADER_BYTES, Refusal, Request, Response};
use super::served::ServedObjects;
use super::store::ObjectStore;
use super::wire::{self, WireError};
use crate::key::identity_key_of;
use crate::limits::{BULK_REQUEST_RATE, MAX_BULK_STREAMS_PER_PEER};
use crate::rate::TokenBucket;
use crate::stats::{Counters, Label};
use crate::tasks::Tasks;

/// What every stream of the holding side shares.
pub(crate) struct Holder {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) served: Arc<ServedObjects>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stall: Duration,
    pub(crate) streams: StreamCounts,
}

/// How many streams each peer holds open.
#[derive(Debug, Default)]
pub(crate) struct StreamCounts(Mutex<HashMap<IdentityKey, usize>>);

impl StreamCounts {
    fn open(&self, peer: IdentityKey) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= MAX_BULK_STREAMS_PER_PEER {
            return false;
        }
        *count += 1;
        true
    }

    fn close(&self, peer: IdentityKey) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get(&peer).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.remove(&peer);
        } else {
            counts.insert(peer, left);
        }
    }
}

/// Takes streams in until the network is shut down.
pub(crate) async fn accept(
    holder: Arc<Holder>,
    mut incoming: libp2p_stream::IncomingStreams,
    tasks: Tasks,
) {
    let mut stop = tasks.stop_signal();
    loop {
        let next = tokio::select! {
            next = incoming.next() => next,
            () = stop.stopped() => None,
        };
        let Some((peer, stream)) = next else { return };
        let Some(key) = identity_key_of(&peer) else { continue };
        if !holder.streams.open(key) {
            tracing::debug!(%key, "too many bulk streams from one member");
            continue;
        }
        let holder = holder.clone();
        let mut stop = tasks.stop_signal();
        tasks.spawn(async move {
            let ended = tokio::select! {
                ended = holder.answer_all(key, stream) => ended,
                () = stop.stopped() => Ok(()),
            };
            holder.streams.close(key);
            if let Err(error) = ended {
                tracing::debug!(%key, %error, "bulk stream ended");
            }
        });
    }
}

impl Holder {
    /// Answers requests in order until the other side closes the stream. One chunk is in memory
    /// at a time: while it cannot be written, nothing more is read.
    pub(crate) async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        asker: IdentityKey,
        mut stream: S,
    ) -> Result<(), WireError> {
        let mut bucket = TokenBucket::new(BULK_REQUEST_RATE, Instant::now());
        loop {
            let header = match wire::read_header_when_it_comes(&mut stream, self.stall).await {
                Err(WireError::Closed) => return Ok(()),
                other => Request::header(other?)?,
            };
            let body = wire::read_body(&mut stream, header.length, self.stall).await?;
            let request = Request::decode(header, &body)?;
            // Asking too fast is answered slowly: the asker's requests wait in its own queue.
            while !bucket.take(Instant::now()) {
                let pause = Duration::from_millis(1000 / u64::from(BULK_REQUEST_RATE.per_second));
                tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
            }
            let (response, label) = self.answer(asker, request).await;
            let counter = self.counters.object(label);
            counter.received(HEADER_BYTES + body.len());
            let frame = response.encode();
            wire::write_frame(&mut stream, &frame, self.stall).await?;
            counter.sent(frame.len());
        }
    }

    async fn answer(&self, asker: IdentityKey, request: Request) -> (Response, Label) {
        let object = *request.object();
        let Some(label) = self.served.label_for(&object, &asker) else {
            return (Response::Refused(Refusal::NotServed), Label::default());
        };
        let store = self.store.clone();
        let read = move || match request {
            Request::List(object) => {
                store.chunk_list(&object).map(|list| Response::List(list.digests().to_vec()))
            }
            Request::Chunk(object, index) if index < object.chunk_count() => {
                store.read_chunk(&object, index).map(|bytes| Response::Chunk(index, bytes))
            }
            Request::Chunk(..) => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let response = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(response)) if response.answers(&request) => response,
            Ok(Ok(_)) => {
                tracing::warn!(?object, "the stored object does not have its length");
                Response::Refused(Refusal::Unavailable)
            }
            Ok(Err(error)) => {
                tracing::warn!(?object, %error, "a served object cannot be read");
                Response::Refused(Refusal::Unavailable)
            }
            Err(_) => Response::Refused(Refusal::Unavailable),
        };
        (response, label)
    }
}
