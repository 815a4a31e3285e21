//! Work that nobody waits for, or that only a person waits for: on threads of the lowest priority, so that the system
//! itself puts it behind the rounds whenever both want the processor.

use std::sync::Arc;

use rayon::ThreadPool;
use tokio::sync::{Semaphore, TryAcquireError};

use super::Cancel;

/// The lowest priority that a thread can have.
const LOWEST_PRIORITY: i32 = 19;
/// Evaluations that people ask for: each trains an adapter of its own, so one at a time.
const EVALUATIONS: usize = 1;

/// Threads for measurements and evaluations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpareTime {
    pool: Arc<ThreadPool>,
    evaluations: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpareError {
    /// Somebody else's is under way.
    #[error("another evaluation is under way")]
    Busy,
    /// It panicked, or the daemon stops.
    #[error("the work ended abnormally")]
    Lost,
}

impl SpareTime {
    /// `threads` threads; 0 takes one for each processor.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("spare-{index}"))
            .start_handler(|_| lower_priority())
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self { pool: Arc::new(pool), evaluations: Arc::new(Semaphore::new(EVALUATIONS)) })
    }

    /// Runs `work` and waits for it.
    ///
    /// # Errors
    /// [`SpareError::Lost`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SpareError> {
        let pool = Arc::clone(&self.pool);
        // What runs inside the pool also does its parallel parts there.
        let done = tokio::task::spawn_blocking(move || pool.install(work));
        done.await.map_err(|_| SpareError::Lost)
    }

    /// Runs an evaluation unless one is under way. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`SpareError`].
    pub async fn evaluate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cancel) -> T + Send + 'static,
    ) -> Result<T, SpareError> {
        let permit = Arc::clone(&self.evaluations).try_acquire_owned();
        let permit = permit.map_err(|error| match error {
            TryAcquireError::NoPermits => SpareError::Busy,
            TryAcquireError::Closed => SpareError::Lost,
        })?;
        let cancel = Cancel::default();
        let _cancel = CancelOnDrop(cancel.clone());
        // The permit goes with the work: what is cancelled still computes until it notices.
        self.run(move || {
            let result = work(&cancel);
            drop(permit);
            result
        })
        .await
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Lowers the calling thread's priority; on Linux "this process" means this thread here.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
        tracing::debug!(%error, "measurements run at the usual priority");
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
    async fn only_the_spare_threads_have_the_lowest_priority() {
        let before = priority();
        let spare = SpareTime::new(2).unwrap();
        let inside = spare.run(|| rayon::join(priority, priority)).await.unwrap();
        assert_eq!(inside, (LOWEST_PRIORITY, LOWEST_PRIORITY));
        assert_eq!(priority(), before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_evaluation_at_a_time_and_nobody_waiting_ends_it() {
        let spare = SpareTime::new(1).unwrap();
        let (started, is_started) = mpsc::sync_channel(1);
        let (ended, has_ended) = mpsc::sync_channel(1);
        let first = tokio::spawn({
            let spare = spare.clone();
            async move {
                let work = move |cancel: &Cancel| {
                    started.send(()).unwrap();
                    while !cancel.is_cancelled() {
                        std::thread::yield_now();
                    }
                    ended.send(()).unwrap();
                };
                spare.evaluate(work).await
            }
        });
        tokio::task::spawn_blocking(move || is_started.recv().unwrap()).await.unwrap();
        assert_eq!(spare.evaluate(|_| ()).await, Err(SpareError::Busy));
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        tokio::task::spawn_blocking(move || has_ended.recv().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_leaves_the_next_a_place() {
        let spare = SpareTime::new(1).unwrap();
        let panicking = |_: &Cancel| panic!("a planted fault");
        assert_eq!(spare.evaluate::<()>(panicking).await, Err(SpareError::Lost));
        assert_eq!(spare.evaluate(|_| 1).await, Ok(1));
    }
}
