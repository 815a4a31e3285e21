//! One object being fetched: its chunk list first, then chunks from several holders in parallel,
//! each verified before it is written.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::object::{ChunkList, ObjectRef};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::chunk_queue::{ChunkQueue, WorkerError, invalid};
use super::engine::BulkParts;
use super::frame::{BulkRequest, Refusal, Response};
use super::holder_selector::{HolderFault, HolderSelector};
use super::holder_stream::{HolderStreams, ReceivedResponse, StreamError};
use crate::error::FetchError;
use crate::limits::{FETCH_WINDOW, MAX_PARALLEL_HOLDERS};
use crate::stats::Counter;

/// Why a fetch ended without the object.
#[derive(Debug)]
pub(crate) enum FetchEnd {
    /// The daemon cancelled it, or the node is shutting down.
    Cancelled,
    /// It cannot make progress.
    Failed(FetchError),
}

impl From<FetchError> for FetchEnd {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

/// One object being fetched.
pub(crate) struct Fetch {
    pub(crate) parts: Arc<BulkParts>,
    pub(crate) streams: Arc<HolderStreams>,
    pub(crate) object: ObjectRef,
    pub(crate) counter: Arc<Counter>,
}

/// How a worker, which pulls from one holder, ended, and how many of the holder's answers were
/// usable.
struct Finished {
    holder: IdentityKey,
    used: usize,
    outcome: Result<(), WorkerError>,
}

type Workers = FuturesUnordered<BoxFuture<'static, Finished>>;
type AnswerReceiver = oneshot::Receiver<Result<ReceivedResponse, StreamError>>;

impl Fetch {
    /// Fetches the object from `holders` and from those that arrive through `more`, until `cancel`
    /// is cancelled.
    pub(crate) async fn run(
        self: Arc<Self>,
        holders: &[IdentityKey],
        more: &mut mpsc::Receiver<Vec<IdentityKey>>,
        cancel: &CancellationToken,
    ) -> Result<(), FetchEnd> {
        let (store, object) = (self.parts.store.clone(), self.object);
        if blocking(move || store.contains(&object)).await? {
            return Ok(());
        }
        let mut selector = HolderSelector::default();
        selector.add(holders, Instant::now());
        let stop_workers = CancellationToken::new();
        let mut workers = Workers::new();
        let queue = Arc::new(ChunkQueue::default());
        let pulling = self.pull_all(&queue, &mut workers, &mut selector, more, &stop_workers);
        let outcome = cancel.run_until_cancelled(pulling).await;
        // A worker that is writing to the store finishes before anything else may write there.
        stop_workers.cancel();
        while workers.next().await.is_some() {}
        outcome.unwrap_or(Err(FetchEnd::Cancelled))?;
        blocking(move || queue.complete()).await
    }

    async fn pull_all(
        self: &Arc<Self>,
        queue: &Arc<ChunkQueue>,
        workers: &mut Workers,
        selector: &mut HolderSelector,
        more: &mut mpsc::Receiver<Vec<IdentityKey>>,
        stop: &CancellationToken,
    ) -> Result<(), FetchEnd> {
        let mut idle_since = Instant::now();
        loop {
            if queue.is_written() {
                return Ok(());
            }
            // The list comes from one holder at a time, the chunks from several.
            let max_workers = if queue.has_list() { MAX_PARALLEL_HOLDERS } else { 1 };
            while workers.len() < max_workers && queue.has_pending() {
                let Some(holder) = selector.take_ready(Instant::now()) else { break };
                workers.push(self.clone().work(queue.clone(), holder, stop.clone()).boxed());
            }
            if workers.is_empty() && selector.all_given_up() {
                return Err(FetchError::NoHolderLeft { reason: selector.summary() }.into());
            }
            // The stream of an active holder has its own timeout; this bounds the time without one.
            let stall = self.parts.tuning.stall_timeout;
            let give_up_at = workers.is_empty().then(|| idle_since + stall);
            if give_up_at.is_some_and(|at| at <= Instant::now()) {
                return Err(FetchError::Stalled { reason: selector.summary() }.into());
            }
            let retry_at =
                if workers.len() < max_workers { selector.next_ready_at() } else { None };
            let wake_at = [give_up_at, retry_at].into_iter().flatten().min();
            tokio::select! {
                Some(finished) = workers.next(), if !workers.is_empty() => {
                    if finished.used > 0 {
                        idle_since = Instant::now();
                    }
                    self.on_finished(finished, selector)?;
                }
                Some(keys) = more.recv() => {
                    selector.add(&keys, Instant::now());
                    idle_since = Instant::now();
                }
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
        }
    }

    fn on_finished(
        &self,
        finished: Finished,
        selector: &mut HolderSelector,
    ) -> Result<(), FetchEnd> {
        let holder = finished.holder;
        let outcome = match finished.outcome {
            Ok(()) | Err(WorkerError::Cancelled) => Ok(()),
            Err(WorkerError::Holder(fault)) => Err(fault),
            Err(WorkerError::Store(error)) => return Err(FetchError::store(&error).into()),
        };
        if let Err(fault) = &outcome {
            tracing::debug!(%holder, object = ?self.object.root, ?fault, "holder failed");
            if matches!(fault, HolderFault::Invalid(_)) {
                self.parts.counters.invalid_holder();
                tracing::warn!(%holder, object = ?self.object.root, "a holder sent invalid data");
            }
        }
        selector.report(&holder, outcome, Instant::now());
        Ok(())
    }

    /// Pulls from one holder: the list if it is not known yet, else chunks as long as there are
    /// pending ones.
    async fn work(
        self: Arc<Self>,
        queue: Arc<ChunkQueue>,
        holder: IdentityKey,
        stop: CancellationToken,
    ) -> Finished {
        let mut used = 0;
        let outcome = if queue.has_list() {
            self.pull_chunks(&queue, holder, &stop, &mut used).await
        } else {
            self.pull_list(&queue, holder, &stop, &mut used).await
        };
        Finished { holder, used, outcome }
    }

    async fn pull_list(
        &self,
        queue: &Arc<ChunkQueue>,
        holder: IdentityKey,
        stop: &CancellationToken,
        used: &mut usize,
    ) -> Result<(), WorkerError> {
        let requested = self.request(holder, BulkRequest::List(self.object), stop).await?;
        let answer = answer_to(requested, stop).await?;
        let digests = match answer.response {
            Response::List(digests) => digests,
            other => return Err(refused(&other)),
        };
        let list = ChunkList::verify(self.object, digests).map_err(invalid)?;
        let (store, queue) = (self.parts.store.clone(), queue.clone());
        run_blocking(move || queue.open(store.as_ref(), list)).await.map_err(WorkerError::Store)?;
        *used += 1;
        Ok(())
    }

    async fn pull_chunks(
        &self,
        queue: &Arc<ChunkQueue>,
        holder: IdentityKey,
        stop: &CancellationToken,
        used: &mut usize,
    ) -> Result<(), WorkerError> {
        let mut window = VecDeque::new();
        let outcome = self.pull_window(queue, holder, stop, used, &mut window).await;
        for (index, _) in window {
            queue.put_back(index);
        }
        outcome
    }

    /// Keeps up to [`FETCH_WINDOW`] requests in flight, so that the link is never idle for a round
    /// trip.
    async fn pull_window(
        &self,
        queue: &Arc<ChunkQueue>,
        holder: IdentityKey,
        stop: &CancellationToken,
        used: &mut usize,
        window: &mut VecDeque<(u32, AnswerReceiver)>,
    ) -> Result<(), WorkerError> {
        loop {
            while window.len() < FETCH_WINDOW {
                let Some(index) = queue.take_pending() else { break };
                match self.request(holder, BulkRequest::Chunk(self.object, index), stop).await {
                    Ok(requested) => window.push_back((index, requested)),
                    Err(error) => {
                        queue.put_back(index);
                        return Err(error);
                    }
                }
            }
            let Some((index, requested)) = window.pop_front() else { return Ok(()) };
            let outcome = match answer_to(requested, stop).await {
                Ok(answer) => write(queue.clone(), index, answer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                queue.put_back(index);
                return Err(error);
            }
            *used += 1;
        }
    }

    async fn request(
        &self,
        holder: IdentityKey,
        request: BulkRequest,
        stop: &CancellationToken,
    ) -> Result<AnswerReceiver, WorkerError> {
        let requested = self.streams.request(holder, request, self.counter.clone());
        stop.run_until_cancelled(requested).await.ok_or(WorkerError::Cancelled)
    }
}

async fn answer_to(
    requested: AnswerReceiver,
    stop: &CancellationToken,
) -> Result<ReceivedResponse, WorkerError> {
    let lost = |reason: String| WorkerError::Holder(HolderFault::Lost(reason));
    match stop.run_until_cancelled(requested).await.ok_or(WorkerError::Cancelled)? {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(StreamError::Violation(reason))) => {
            Err(WorkerError::Holder(HolderFault::Invalid(reason)))
        }
        Ok(Err(error)) => Err(lost(error.to_string())),
        Err(_) => Err(lost("the stream broke".into())),
    }
}

/// Verifies and writes one chunk; its share of the memory budget is released afterwards.
async fn write(
    queue: Arc<ChunkQueue>,
    index: u32,
    answer: ReceivedResponse,
) -> Result<(), WorkerError> {
    let ReceivedResponse { response, budget } = answer;
    let bytes = match response {
        Response::Chunk(_, bytes) => bytes,
        other => return Err(refused(&other)),
    };
    let written = run_blocking(move || {
        let outcome = queue.write(index, &bytes);
        drop((bytes, budget));
        Ok(outcome)
    });
    written.await.map_err(WorkerError::Store)?
}

fn refused(response: &Response) -> WorkerError {
    WorkerError::Holder(match response {
        Response::Refused(Refusal::NotServed) => HolderFault::Refused("does not serve it".into()),
        Response::Refused(Refusal::Unavailable) => HolderFault::Refused("cannot read it".into()),
        // The stream passes on only answers that match their request.
        Response::List(_) | Response::Chunk(..) => HolderFault::Invalid("another answer".into()),
    })
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FetchEnd> {
    run_blocking(call).await.map_err(|error| FetchError::store(&error).into())
}

async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // A panic inside the daemon's store fails the fetch, not the node.
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)?
}
