//! The fetching side's one long-lived stream to one holder.
//!
//! Requests are written without waiting for answers, up to a window; answers come in the order of
//! the requests. A round trip per chunk would cost most of the line at any distance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite};
use libp2p_stream::Control;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::frame::{HEADER_BYTES, Request, Response};
use super::wire::{self, WireError};
use crate::connected::Connected;
use crate::key::peer_id_of;
use crate::limits::{LINK_QUEUE, LINK_WINDOW};
use crate::protocols::BULK;
use crate::stats::Counter;
use crate::tasks::Tasks;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// No stream to the holder could be opened.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The stream broke or stalled.
    #[error("{0}")]
    Broken(String),
    /// What came was no answer. The stream is authenticated, so the holder itself wrote that.
    #[error("{0}")]
    Violation(String),
}

impl From<&WireError> for LinkError {
    fn from(error: &WireError) -> Self {
        match error {
            WireError::Frame(_) | WireError::Mismatch => Self::Violation(error.to_string()),
            WireError::Closed | WireError::Stalled { .. } | WireError::Io(_) => {
                Self::Broken(error.to_string())
            }
        }
    }
}

/// An answer that fits its request in form, and its place in the memory budget.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// Dropped when the bytes are written, so that more may be read.
    pub(crate) budget: OwnedSemaphorePermit,
}

type Reply = oneshot::Sender<Result<Answer, LinkError>>;

/// One request on its way.
pub(crate) struct Ask {
    request: Request,
    counter: Arc<Counter>,
    reply: Reply,
}

/// The streams to all holders; opened when first needed, kept until they break.
pub(crate) struct Links {
    control: Control,
    budget: Arc<Semaphore>,
    stall: Duration,
    connected: Arc<Connected>,
    tasks: Tasks,
    by_holder: Mutex<HashMap<IdentityKey, mpsc::Sender<Ask>>>,
}

impl Links {
    pub(crate) fn new(
        control: Control,
        budget_chunks: usize,
        stall: Duration,
        connected: Arc<Connected>,
        tasks: Tasks,
    ) -> Self {
        Self {
            control,
            budget: Arc::new(Semaphore::new(budget_chunks.max(1))),
            stall,
            connected,
            tasks,
            by_holder: Mutex::default(),
        }
    }

    /// Puts a request in the queue to `holder`; waits while the queue is full. The answer comes
    /// through the receiver; a receiver without an answer means that the stream broke.
    pub(crate) async fn ask(
        &self,
        holder: IdentityKey,
        request: Request,
        counter: Arc<Counter>,
    ) -> oneshot::Receiver<Result<Answer, LinkError>> {
        let (reply, answer) = oneshot::channel();
        // If the link's task is gone the node is stopping: the reply is dropped, which says so.
        let _ = self.queue_to(holder).send(Ask { request, counter, reply }).await;
        answer
    }

    fn queue_to(&self, holder: IdentityKey) -> mpsc::Sender<Ask> {
        let mut links = self.by_holder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = links.get(&holder).filter(|queue| !queue.is_closed()) {
            return queue.clone();
        }
        let (queue, asks) = mpsc::channel(LINK_QUEUE);
        let link = Link {
            holder,
            budget: self.budget.clone(),
            stall: self.stall,
            connected: self.connected.clone(),
        };
        let control = self.control.clone();
        let mut stop = self.tasks.stop_signal();
        self.tasks.spawn(async move {
            tokio::select! {
                () = link.run(control, asks) => {}
                () = stop.stopped() => {}
            }
        });
        links.insert(holder, queue.clone());
        queue
    }

    /// Forgets the links to everyone but `members`.
    pub(crate) fn retain(&self, members: &[IdentityKey]) {
        let mut links = self.by_holder.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|holder, _| members.contains(holder));
    }
}

struct Link {
    holder: IdentityKey,
    budget: Arc<Semaphore>,
    stall: Duration,
    connected: Arc<Connected>,
}

impl Link {
    async fn run(self, mut control: Control, mut asks: mpsc::Receiver<Ask>) {
        while let Some(first) = asks.recv().await {
            match self.open(&mut control).await {
                Ok(stream) => {
                    let error = self.pump(stream, first, &mut asks).await;
                    tracing::debug!(holder = %self.holder, %error, "bulk stream ended");
                }
                Err(error) => {
                    // The asker may be gone; then nobody minds.
                    let _ = first.reply.send(Err(error));
                }
            }
        }
    }

    async fn open(&self, control: &mut Control) -> Result<libp2p::Stream, LinkError> {
        let unreachable = |reason: String| LinkError::Unreachable(reason);
        // The library would dial by itself, without addresses, and may never answer.
        if !self.connected.contains(&self.holder) {
            return Err(unreachable("not connected".into()));
        }
        let peer = peer_id_of(&self.holder).ok_or_else(|| unreachable("not a key".into()))?;
        match timeout(self.stall, control.open_stream(peer, BULK)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no stream within {:?}", self.stall))),
        }
    }

    /// Moves requests and answers until the stream breaks. Asks in flight are dropped then, which
    /// their askers see.
    async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        first: Ask,
        asks: &mut mpsc::Receiver<Ask>,
    ) -> WireError {
        let (reader, writer) = stream.split();
        let (in_flight, awaited) = mpsc::channel(LINK_WINDOW);
        tokio::select! {
            error = self.write_requests(writer, first, asks, in_flight) => error,
            error = self.read_answers(reader, awaited) => error,
        }
    }

    async fn write_requests<W: AsyncWrite + Unpin>(
        &self,
        mut writer: W,
        first: Ask,
        asks: &mut mpsc::Receiver<Ask>,
        in_flight: mpsc::Sender<Ask>,
    ) -> WireError {
        let mut next = Some(first);
        while let Some(ask) = next {
            // Nobody waits for it any more: the fetch was stopped.
            if !ask.reply.is_closed() {
                let Ok(place) = in_flight.reserve().await else { return WireError::Closed };
                let frame = ask.request.encode();
                if let Err(error) = wire::write_frame(&mut writer, &frame, self.stall).await {
                    let _ = ask.reply.send(Err(LinkError::from(&error)));
                    return error;
                }
                ask.counter.sent(frame.len());
                place.send(ask);
            }
            next = asks.recv().await;
        }
        WireError::Closed
    }

    async fn read_answers<R: AsyncRead + Unpin>(
        &self,
        mut reader: R,
        mut awaited: mpsc::Receiver<Ask>,
    ) -> WireError {
        while let Some(ask) = awaited.recv().await {
            match self.read_answer(&mut reader, &ask).await {
                Ok(answer) => {
                    let _ = ask.reply.send(Ok(answer));
                }
                Err(error) => {
                    let _ = ask.reply.send(Err(LinkError::from(&error)));
                    return error;
                }
            }
        }
        WireError::Closed
    }

    async fn read_answer<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        ask: &Ask,
    ) -> Result<Answer, WireError> {
        let header = Response::header(wire::read_header(reader, self.stall).await?)?;
        // Back-pressure: without a place in memory the body is not read, and the holder waits.
        let Ok(budget) = self.budget.clone().acquire_owned().await else {
            return Err(WireError::Closed);
        };
        let body = wire::read_body(reader, header.length, self.stall).await?;
        ask.counter.received(HEADER_BYTES + body.len());
        let response = Response::decode(header, body)?;
        if !response.answers(&ask.request) {
            return Err(WireError::Mismatch);
        }
        Ok(Answer { response, budget })
    }
}
