//! The serving side: answers the requests on the streams that members open.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use futures::{AsyncRead, AsyncWrite, StreamExt};
use tokio::time::Instant;

use super::engine::BulkParts;
use super::frame::{BulkRequest, HEADER_BYTES, Refusal, Response};
use super::served::ServedObjects;
use super::wire::{self, WireError};
use crate::key::identity_key_of;
use crate::limits::{BULK_REQUEST_RATE, MAX_BULK_STREAMS_PER_PEER};
use crate::rate::TokenBucket;
use crate::stats::Label;

/// Answers requests on any number of streams.
pub(crate) struct Responder {
    parts: Arc<BulkParts>,
    served: Arc<ServedObjects>,
    streams: StreamCounts,
}

/// How many inbound streams each member holds open; bounded by [`MAX_BULK_STREAMS_PER_PEER`].
#[derive(Debug, Default)]
struct StreamCounts(Mutex<HashMap<IdentityKey, usize>>);

impl StreamCounts {
    /// Counts one more stream; false if the member has as many as it may have.
    fn open(&self, member: IdentityKey) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(member).or_default();
        if *count >= MAX_BULK_STREAMS_PER_PEER {
            return false;
        }
        *count += 1;
        true
    }

    fn close(&self, member: IdentityKey) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get(&member).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.remove(&member);
        } else {
            counts.insert(member, left);
        }
    }
}

/// Accepts streams until the node shuts down.
pub(crate) async fn accept(
    responder: Arc<Responder>,
    mut incoming: libp2p_stream::IncomingStreams,
) {
    let tasks = responder.parts.tasks.clone();
    while let Some(Some((peer, stream))) = tasks.token().run_until_cancelled(incoming.next()).await
    {
        let Some(key) = identity_key_of(&peer) else { continue };
        if !responder.streams.open(key) {
            tracing::debug!(%key, "too many bulk streams from one member");
            continue;
        }
        let (responder, cancel) = (responder.clone(), tasks.token().clone());
        // False only if the node is shutting down already.
        let _ = tasks.spawn(async move {
            let ended = cancel.run_until_cancelled(responder.answer_all(key, stream)).await;
            responder.streams.close(key);
            if let Some(Err(error)) = ended {
                tracing::debug!(%key, %error, "bulk stream ended");
            }
        });
    }
}

impl Responder {
    pub(crate) fn new(parts: Arc<BulkParts>, served: Arc<ServedObjects>) -> Self {
        Self { parts, served, streams: StreamCounts::default() }
    }

    /// Answers requests in order until the other side closes the stream. One chunk is in memory at
    /// a time: while it cannot be written, no further request is read.
    async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        requester: IdentityKey,
        mut stream: S,
    ) -> Result<(), WireError> {
        let stall = self.parts.tuning.stall_timeout;
        let mut bucket = TokenBucket::new(BULK_REQUEST_RATE, Instant::now());
        loop {
            let header = match wire::read_first_header(&mut stream, stall).await {
                Err(WireError::Closed) => return Ok(()),
                other => BulkRequest::header(other?)?,
            };
            let body = wire::read_body(&mut stream, header.length, stall).await?;
            let request = BulkRequest::decode(header, &body)?;
            // Requests over the rate are delayed, not refused: they wait in the requester's own
            // queue.
            while !bucket.take(Instant::now()) {
                let pause = Duration::from_millis(1000 / u64::from(BULK_REQUEST_RATE.per_second));
                tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
            }
            let (response, label) = self.answer(requester, request).await;
            let counter = self.parts.counters.object(label);
            counter.received(HEADER_BYTES + body.len());
            let frame = response.encode();
            wire::write_frame(&mut stream, &frame, stall).await?;
            counter.sent(frame.len());
        }
    }

    async fn answer(&self, requester: IdentityKey, request: BulkRequest) -> (Response, Label) {
        let object = *request.object();
        let Some(label) = self.served.label_for(&object, &requester) else {
            return (Response::Refused(Refusal::NotServed), Label::default());
        };
        let store = self.parts.store.clone();
        let read = move || match request {
            BulkRequest::List(object) => {
                store.chunk_list(&object).map(|list| Response::List(list.digests().to_vec()))
            }
            BulkRequest::Chunk(object, index) if index < object.chunk_count() => {
                store.read_chunk(&object, index).map(|bytes| Response::Chunk(index, bytes))
            }
            BulkRequest::Chunk(..) => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let response = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(response)) if response.answers(&request) => response,
            Ok(Ok(_)) => {
                tracing::warn!(?object, "a stored object does not have the length of its name");
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
