//! The low-priority pool: threads of the lowest priority for work that no round waits for. When
//! both want the processor, the operating system's scheduler prefers the rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio_util::sync::CancellationToken;

/// The lowest priority that a thread can have.
const LOWEST_PRIORITY: i32 = 19;
/// Concurrent evaluations: each trains an adapter of its own, so one at a time.
const EVALUATIONS: usize = 1;

/// Threads for measurements and evaluations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LowPriorityPool {
    pool: Arc<ThreadPool>,
    evaluations: Arc<Semaphore>,
    /// Whether the evaluation under way was not asked for.
    unasked: Arc<AtomicBool>,
}

/// Why the pool returned no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// An evaluation is under way already.
    #[error("another evaluation is in progress")]
    Busy,
    /// The work panicked, or the daemon stops.
    #[error("the work ended abnormally")]
    Lost,
}

impl LowPriorityPool {
    /// Starts `threads` threads; 0 means one for each processor.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("low-prio-{index}"))
            .start_handler(|_| lower_priority())
            .build()
            .map_err(std::io::Error::other)?;
        let evaluations = Arc::new(Semaphore::new(EVALUATIONS));
        Ok(Self { pool: Arc::new(pool), evaluations, unasked: Arc::default() })
    }

    /// Runs `work` and waits for it.
    ///
    /// # Errors
    /// [`PoolError::Lost`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let pool = Arc::clone(&self.pool);
        // What runs inside the pool also does its parallel parts there.
        let done = tokio::task::spawn_blocking(move || pool.install(work));
        done.await.map_err(|_| PoolError::Lost)
    }

    /// Runs an evaluation that an operator asks for, after one that nobody has asked for. Dropping
    /// the future cancels it.
    ///
    /// # Errors
    /// [`PoolError::Busy`] while one that an operator has asked for is under way.
    pub async fn evaluate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let evaluations = Arc::clone(&self.evaluations);
        let permit = match Arc::clone(&evaluations).try_acquire_owned() {
            Err(TryAcquireError::NoPermits) if self.unasked.load(Ordering::Acquire) => {
                evaluations.acquire_owned().await.map_err(|_| PoolError::Lost)?
            }
            other => other.map_err(|error| match error {
                TryAcquireError::NoPermits => PoolError::Busy,
                TryAcquireError::Closed => PoolError::Lost,
            })?,
        };
        self.evaluate_in(Slot { _permit: permit, _unasked: None }, work).await
    }

    /// Runs an evaluation that nobody has asked for, once none is under way. Dropping the future
    /// cancels it.
    ///
    /// # Errors
    /// [`PoolError::Lost`].
    pub async fn evaluate_unasked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        // Set before the permit is there, so that nobody who asks meanwhile is turned away.
        let unasked = Some(Unasked::begin(&self.unasked));
        let permit = Arc::clone(&self.evaluations).acquire_owned().await;
        let permit = permit.map_err(|_| PoolError::Lost)?;
        self.evaluate_in(Slot { _permit: permit, _unasked: unasked }, work).await
    }

    async fn evaluate_in<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let cancel = CancellationToken::new();
        let _cancel = cancel.clone().drop_guard();
        // The slot moves into the work: a cancelled evaluation still computes until it notices.
        self.run(move || {
            let result = work(&cancel);
            drop(slot);
            result
        })
        .await
    }
}

/// The place of the evaluation under way. The permit is released first: whoever finds it taken must
/// also find out whether to wait.
struct Slot {
    _permit: OwnedSemaphorePermit,
    _unasked: Option<Unasked>,
}

/// Set while an evaluation runs that nobody has asked for.
struct Unasked(Arc<AtomicBool>);

impl Unasked {
    fn begin(flag: &Arc<AtomicBool>) -> Self {
        flag.store(true, Ordering::Release);
        Self(Arc::clone(flag))
    }
}

impl Drop for Unasked {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Lowers the calling thread's priority; on Linux "this process" means this thread here.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
        tracing::debug!(%error, "measurements run at normal priority");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn only_the_threads_of_the_pool_have_the_lowest_priority() {
        let before = priority();
        let pool = LowPriorityPool::new(2).unwrap();
        let inside = pool.run(|| rayon::join(priority, priority)).await.unwrap();
        assert_eq!(inside, (LOWEST_PRIORITY, LOWEST_PRIORITY));
        assert_eq!(priority(), before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_evaluation_at_a_time_and_nobody_waiting_ends_it() {
        let pool = LowPriorityPool::new(1).unwrap();
        let (started, is_started) = mpsc::sync_channel(1);
        let (ended, has_ended) = mpsc::sync_channel(1);
        let first = tokio::spawn({
            let pool = pool.clone();
            async move {
                let work = move |cancel: &CancellationToken| {
                    started.send(()).unwrap();
                    while !cancel.is_cancelled() {
                        std::thread::yield_now();
                    }
                    ended.send(()).unwrap();
                };
                pool.evaluate(work).await
            }
        });
        tokio::task::spawn_blocking(move || is_started.recv().unwrap()).await.unwrap();
        assert_eq!(pool.evaluate(|_| ()).await, Err(PoolError::Busy));
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        tokio::task::spawn_blocking(move || has_ended.recv().unwrap()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asks_waits_for_what_nobody_asked_for() {
        let pool = LowPriorityPool::new(1).unwrap();
        let (started, is_started) = mpsc::sync_channel(1);
        let (go_on, may_end) = mpsc::sync_channel(1);
        let unasked = tokio::spawn({
            let pool = pool.clone();
            async move {
                let work = move |_: &CancellationToken| {
                    started.send(()).unwrap();
                    may_end.recv().unwrap();
                    1
                };
                pool.evaluate_unasked(work).await
            }
        });
        tokio::task::spawn_blocking(move || is_started.recv().unwrap()).await.unwrap();
        let asked = tokio::spawn({
            let pool = pool.clone();
            async move { pool.evaluate(|_| 2).await }
        });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        go_on.send(()).unwrap();
        assert_eq!((unasked.await.unwrap(), asked.await.unwrap()), (Ok(1), Ok(2)));
        let panicking = |_: &CancellationToken| panic!("a planted fault");
        assert_eq!(pool.evaluate_unasked::<()>(panicking).await, Err(PoolError::Lost));
        assert!(!pool.unasked.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_leaves_the_next_a_place() {
        let pool = LowPriorityPool::new(1).unwrap();
        let panicking = |_: &CancellationToken| panic!("a planted fault");
        assert_eq!(pool.evaluate::<()>(panicking).await, Err(PoolError::Lost));
        assert_eq!(pool.evaluate(|_| 1).await, Ok(1));
    }
}
