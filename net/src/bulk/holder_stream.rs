//! The fetching side's one long-lived stream to each holder.
//!
//! Requests are pipelined: they are written without waiting for answers, up to a window, and
//! answers come in the order of the requests. One round trip per chunk would leave the link idle
//! most of the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::engine::BulkParts;
use super::frame::{BulkRequest, HEADER_BYTES, Response};
use super::wire::{self, WireError};
use crate::key::peer_id_of;
use crate::limits::{STREAM_QUEUE, STREAM_WINDOW};
use crate::protocols::BULK;
use crate::stats::Counter;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    /// No stream to the holder could be opened.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The stream broke or stalled.
    #[error("{0}")]
    Broken(String),
    /// The received bytes are not a valid answer. The stream is authenticated, so the holder
    /// itself sent them.
    #[error("{0}")]
    Violation(String),
}

impl From<&WireError> for StreamError {
    fn from(error: &WireError) -> Self {
        match error {
            WireError::Frame(_) | WireError::Mismatch => Self::Violation(error.to_string()),
            WireError::Closed | WireError::Stalled { .. } | WireError::Io(_) => {
                Self::Broken(error.to_string())
            }
        }
    }
}

/// An answer whose form matches its request, and its share of the memory budget.
#[derive(Debug)]
pub(crate) struct ReceivedResponse {
    pub(crate) response: Response,
    /// Dropped once the bytes are written, so that more may be read.
    pub(crate) budget: OwnedSemaphorePermit,
}

type ResponseSender = oneshot::Sender<Result<ReceivedResponse, StreamError>>;

/// A request that is queued or in flight.
struct PendingRequest {
    request: BulkRequest,
    counter: Arc<Counter>,
    reply: ResponseSender,
}

/// The streams to all holders; each is opened when it is first needed and kept until it breaks.
pub(crate) struct HolderStreams {
    parts: Arc<BulkParts>,
    /// One permit for each chunk in memory, for all streams together.
    budget: Arc<Semaphore>,
    by_holder: Mutex<HashMap<IdentityKey, mpsc::Sender<PendingRequest>>>,
}

impl HolderStreams {
    pub(crate) fn new(parts: Arc<BulkParts>) -> Self {
        let budget = Arc::new(Semaphore::new(parts.tuning.fetch_budget_chunks.max(1)));
        Self { parts, budget, by_holder: Mutex::default() }
    }

    /// Queues a request to `holder`; waits while the queue is full. The answer comes through the
    /// receiver; a receiver that is closed without an answer means that the stream broke.
    pub(crate) async fn request(
        &self,
        holder: IdentityKey,
        request: BulkRequest,
        counter: Arc<Counter>,
    ) -> oneshot::Receiver<Result<ReceivedResponse, StreamError>> {
        let (reply, answer) = oneshot::channel();
        let pending = PendingRequest { request, counter, reply };
        // If the stream's task is gone the node is shutting down: the reply is dropped, which the
        // receiver sees.
        let _ = self.queue_to(holder).send(pending).await;
        answer
    }

    fn queue_to(&self, holder: IdentityKey) -> mpsc::Sender<PendingRequest> {
        let mut streams = self.by_holder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = streams.get(&holder).filter(|queue| !queue.is_closed()) {
            return queue.clone();
        }
        let (queue, requests) = mpsc::channel(STREAM_QUEUE);
        let (parts, budget) = (self.parts.clone(), self.budget.clone());
        let cancel = self.parts.tasks.token().clone();
        // False only if the node is shutting down already.
        let _ = self.parts.tasks.spawn(async move {
            let stream = HolderStream { holder, parts, budget };
            let _ = cancel.run_until_cancelled(stream.run(requests)).await;
        });
        streams.insert(holder, queue.clone());
        queue
    }

    /// Drops the streams to everyone but `members`.
    pub(crate) fn retain(&self, members: &[IdentityKey]) {
        let mut streams = self.by_holder.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|holder, _| members.contains(holder));
    }
}

/// The stream to one holder, as its task sees it.
struct HolderStream {
    holder: IdentityKey,
    parts: Arc<BulkParts>,
    budget: Arc<Semaphore>,
}

impl HolderStream {
    async fn run(self, mut requests: mpsc::Receiver<PendingRequest>) {
        while let Some(first) = requests.recv().await {
            match self.open().await {
                Ok(stream) => {
                    let error = self.pump(stream, first, &mut requests).await;
                    tracing::debug!(holder = %self.holder, %error, "bulk stream ended");
                }
                Err(error) => {
                    // An error means that the requester was cancelled.
                    let _ = first.reply.send(Err(error));
                }
            }
        }
    }

    async fn open(&self) -> Result<libp2p::Stream, StreamError> {
        let unreachable = |reason: String| StreamError::Unreachable(reason);
        // The library would dial by itself, without addresses, and may never answer.
        if !self.parts.connected.contains(&self.holder) {
            return Err(unreachable("not connected".into()));
        }
        let peer = peer_id_of(&self.holder).ok_or_else(|| unreachable("not a key".into()))?;
        let mut control = self.parts.control.clone();
        match timeout(self.stall(), control.open_stream(peer, BULK)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no stream within {:?}", self.stall()))),
        }
    }

    fn stall(&self) -> Duration {
        self.parts.tuning.stall_timeout
    }

    /// Moves requests and answers until the stream breaks. Requests in flight are dropped then,
    /// which closes their receivers.
    async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        first: PendingRequest,
        requests: &mut mpsc::Receiver<PendingRequest>,
    ) -> WireError {
        let (reader, writer) = stream.split();
        let (in_flight, awaited) = mpsc::channel(STREAM_WINDOW);
        tokio::select! {
            error = self.write_requests(writer, first, requests, in_flight) => error,
            error = self.read_answers(reader, awaited) => error,
        }
    }

    async fn write_requests<W: AsyncWrite + Unpin>(
        &self,
        mut writer: W,
        first: PendingRequest,
        requests: &mut mpsc::Receiver<PendingRequest>,
        in_flight: mpsc::Sender<PendingRequest>,
    ) -> WireError {
        let mut next = Some(first);
        while let Some(pending) = next {
            // Closed if the fetch was cancelled.
            if !pending.reply.is_closed() {
                let Ok(permit) = in_flight.reserve().await else { return WireError::Closed };
                let frame = pending.request.encode();
                if let Err(error) = wire::write_frame(&mut writer, &frame, self.stall()).await {
                    let _ = pending.reply.send(Err(StreamError::from(&error)));
                    return error;
                }
                pending.counter.sent(frame.len());
                permit.send(pending);
            }
            next = requests.recv().await;
        }
        WireError::Closed
    }

    async fn read_answers<R: AsyncRead + Unpin>(
        &self,
        mut reader: R,
        mut awaited: mpsc::Receiver<PendingRequest>,
    ) -> WireError {
        while let Some(pending) = awaited.recv().await {
            match self.read_answer(&mut reader, &pending).await {
                Ok(answer) => {
                    let _ = pending.reply.send(Ok(answer));
                }
                Err(error) => {
                    let _ = pending.reply.send(Err(StreamError::from(&error)));
                    return error;
                }
            }
        }
        WireError::Closed
    }

    async fn read_answer<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        pending: &PendingRequest,
    ) -> Result<ReceivedResponse, WireError> {
        let header = Response::header(wire::read_header(reader, self.stall()).await?)?;
        // Backpressure: without a permit the body is not read, so the holder's writes block.
        let Ok(budget) = self.budget.clone().acquire_owned().await else {
            return Err(WireError::Closed);
        };
        let body = wire::read_body(reader, header.length, self.stall()).await?;
        pending.counter.received(HEADER_BYTES + body.len());
        let response = Response::decode(header, body)?;
        if !response.answers(&pending.request) {
            return Err(WireError::Mismatch);
        }
        Ok(ReceivedResponse { response, budget })
    }
}
