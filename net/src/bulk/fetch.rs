//! One object on its way in: chunk list first, then chunks from several holders, each verified
//! before it is written.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::object::{ChunkList, ObjectRef};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::frame::{Refusal, Request, Response};
use super::link::{Answer, LinkError, Links};
use super::pool::{HolderPool, Trouble};
use super::store::ObjectStore;
use super::work::{TurnError, Work, lied};
use crate::error::FetchError;
use crate::limits::{FETCH_WINDOW, MAX_PARALLEL_HOLDERS};
use crate::stats::{Counter, Counters};
use crate::tasks::StopSignal;

/// What all fetches share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) links: Links,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stall: Duration,
}

/// How a fetch ended before the object was there.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was told to.
    Stopped,
    /// It cannot go on.
    Failed(FetchError),
}

impl From<FetchError> for Ended {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

/// Ends a fetch early: its own stop, or the node's.
pub(crate) struct Cancel {
    pub(crate) fetch: watch::Receiver<bool>,
    pub(crate) node: StopSignal,
}

impl Cancel {
    pub(crate) async fn cancelled(&mut self) {
        tokio::select! {
            _ = self.fetch.wait_for(|stop| *stop) => {}
            () = self.node.stopped() => {}
        }
    }
}

/// One object on its way in.
pub(crate) struct Fetch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) object: ObjectRef,
    pub(crate) counter: Arc<Counter>,
}

/// How one holder's turn ended, and how many answers of it could be used.
struct Turn {
    holder: IdentityKey,
    used: usize,
    outcome: Result<(), TurnError>,
}

type Turns = FuturesUnordered<BoxFuture<'static, Turn>>;

impl Fetch {
    /// Pulls the object from `holders` and from those that come through `more`.
    pub(crate) async fn run(
        self: Arc<Self>,
        holders: &[IdentityKey],
        more: &mut mpsc::Receiver<Vec<IdentityKey>>,
        mut cancel: Cancel,
    ) -> Result<(), Ended> {
        let (store, object) = (self.shared.store.clone(), self.object);
        if blocking(move || store.contains(&object)).await? {
            return Ok(());
        }
        let mut pool = HolderPool::default();
        pool.add(holders, Instant::now());
        let over = watch::Sender::new(false);
        let mut turns = Turns::new();
        let work = Arc::new(Work::default());
        let outcome = tokio::select! {
            outcome = self.pull_all(&work, &mut turns, &mut pool, more, &over) => outcome,
            () = cancel.cancelled() => Err(Ended::Stopped),
        };
        // A turn that is inside the store leaves it before anyone else may write there.
        over.send_replace(true);
        while turns.next().await.is_some() {}
        outcome?;
        blocking(move || work.complete()).await
    }

    async fn pull_all(
        self: &Arc<Self>,
        work: &Arc<Work>,
        turns: &mut Turns,
        pool: &mut HolderPool,
        more: &mut mpsc::Receiver<Vec<IdentityKey>>,
        over: &watch::Sender<bool>,
    ) -> Result<(), Ended> {
        let mut idle_since = Instant::now();
        loop {
            if work.is_written() {
                return Ok(());
            }
            // The list comes from one holder at a time, the chunks from several.
            let places = if work.has_list() { MAX_PARALLEL_HOLDERS } else { 1 };
            while turns.len() < places && work.has_pending() {
                let Some(holder) = pool.take_ready(Instant::now()) else { break };
                turns.push(self.clone().turn(work.clone(), holder, over.subscribe()).boxed());
            }
            if turns.is_empty() && pool.all_given_up() {
                return Err(FetchError::NoHolderLeft { reason: pool.summary() }.into());
            }
            // A holder that works is timed by its stream; here only the time without any.
            let give_up_at = turns.is_empty().then(|| idle_since + self.shared.stall);
            if give_up_at.is_some_and(|at| at <= Instant::now()) {
                return Err(FetchError::Stalled { reason: pool.summary() }.into());
            }
            let retry_at = if turns.len() < places { pool.next_ready_at() } else { None };
            let wake_at = [give_up_at, retry_at].into_iter().flatten().min();
            tokio::select! {
                Some(turn) = turns.next(), if !turns.is_empty() => {
                    if turn.used > 0 {
                        idle_since = Instant::now();
                    }
                    self.settle(turn, pool)?;
                }
                Some(keys) = more.recv() => {
                    pool.add(&keys, Instant::now());
                    idle_since = Instant::now();
                }
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
        }
    }

    fn settle(&self, turn: Turn, pool: &mut HolderPool) -> Result<(), Ended> {
        let outcome = match turn.outcome {
            Ok(()) | Err(TurnError::Over) => Ok(()),
            Err(TurnError::Holder(trouble)) => Err(trouble),
            Err(TurnError::Store(error)) => return Err(FetchError::store(&error).into()),
        };
        if let Err(trouble) = &outcome {
            tracing::debug!(holder = %turn.holder, object = ?self.object.root, ?trouble, "turn ended");
            if matches!(trouble, Trouble::Lied(_)) {
                self.shared.counters.lying_holder();
                tracing::warn!(holder = %turn.holder, object = ?self.object.root, "false bytes");
            }
        }
        pool.report(&turn.holder, outcome, Instant::now());
        Ok(())
    }

    /// One holder's turn: the list if it is not known, else chunks as long as there are any.
    async fn turn(
        self: Arc<Self>,
        work: Arc<Work>,
        holder: IdentityKey,
        mut over: watch::Receiver<bool>,
    ) -> Turn {
        let mut used = 0;
        let outcome = if work.has_list() {
            self.pull_chunks(&work, holder, &mut over, &mut used).await
        } else {
            self.pull_list(&work, holder, &mut over, &mut used).await
        };
        Turn { holder, used, outcome }
    }

    async fn pull_list(
        &self,
        work: &Arc<Work>,
        holder: IdentityKey,
        over: &mut watch::Receiver<bool>,
        used: &mut usize,
    ) -> Result<(), TurnError> {
        let asked = self.ask(holder, Request::List(self.object), over).await?;
        let answer = wait(asked, over).await?;
        let digests = match answer.response {
            Response::List(digests) => digests,
            other => return Err(refused(&other)),
        };
        let list = ChunkList::verify(self.object, digests).map_err(lied)?;
        let (store, work) = (self.shared.store.clone(), work.clone());
        run_blocking(move || work.open(store.as_ref(), list)).await.map_err(TurnError::Store)?;
        *used += 1;
        Ok(())
    }

    async fn pull_chunks(
        &self,
        work: &Arc<Work>,
        holder: IdentityKey,
        over: &mut watch::Receiver<bool>,
        used: &mut usize,
    ) -> Result<(), TurnError> {
        let mut window = VecDeque::new();
        let outcome = self.pull_window(work, holder, over, used, &mut window).await;
        for (index, _) in window {
            work.give_back(index);
        }
        outcome
    }

    async fn pull_window(
        &self,
        work: &Arc<Work>,
        holder: IdentityKey,
        over: &mut watch::Receiver<bool>,
        used: &mut usize,
        window: &mut VecDeque<(u32, AnswerReceiver)>,
    ) -> Result<(), TurnError> {
        loop {
            while window.len() < FETCH_WINDOW {
                let Some(index) = work.take_pending() else { break };
                match self.ask(holder, Request::Chunk(self.object, index), over).await {
                    Ok(asked) => window.push_back((index, asked)),
                    Err(error) => {
                        work.give_back(index);
                        return Err(error);
                    }
                }
            }
            let Some((index, asked)) = window.pop_front() else { return Ok(()) };
            let outcome = match wait(asked, over).await {
                Ok(answer) => write(work.clone(), index, answer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                work.give_back(index);
                return Err(error);
            }
            *used += 1;
        }
    }

    async fn ask(
        &self,
        holder: IdentityKey,
        request: Request,
        over: &mut watch::Receiver<bool>,
    ) -> Result<AnswerReceiver, TurnError> {
        tokio::select! {
            asked = self.shared.links.ask(holder, request, self.counter.clone()) => Ok(asked),
            _ = over.wait_for(|over| *over) => Err(TurnError::Over),
        }
    }
}

type AnswerReceiver = oneshot::Receiver<Result<Answer, LinkError>>;

async fn wait(
    asked: AnswerReceiver,
    over: &mut watch::Receiver<bool>,
) -> Result<Answer, TurnError> {
    let lost = |reason: String| TurnError::Holder(Trouble::Lost(reason));
    tokio::select! {
        answer = asked => match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(LinkError::Violation(reason))) => {
                Err(TurnError::Holder(Trouble::Lied(reason)))
            }
            Ok(Err(error)) => Err(lost(error.to_string())),
            Err(_) => Err(lost("the stream broke".into())),
        },
        _ = over.wait_for(|over| *over) => Err(TurnError::Over),
    }
}

/// Verifies and writes one chunk; its place in the memory budget is free again afterwards.
async fn write(work: Arc<Work>, index: u32, answer: Answer) -> Result<(), TurnError> {
    let Answer { response, budget } = answer;
    let bytes = match response {
        Response::Chunk(_, bytes) => bytes,
        other => return Err(refused(&other)),
    };
    let written = run_blocking(move || {
        let outcome = work.write(index, &bytes);
        drop((bytes, budget));
        Ok(outcome)
    });
    written.await.map_err(TurnError::Store)?
}

fn refused(response: &Response) -> TurnError {
    TurnError::Holder(match response {
        Response::Refused(Refusal::NotServed) => Trouble::Refused("does not serve it".into()),
        Response::Refused(Refusal::Unavailable) => Trouble::Refused("cannot read it".into()),
        // The link lets only answers through that fit their question.
        Response::List(_) | Response::Chunk(..) => Trouble::Lied("another answer".into()),
    })
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Ended> {
    run_blocking(call).await.map_err(|error| FetchError::store(&error).into())
}

async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // A panic inside the daemon's store fails the fetch, not the node.
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)?
}
