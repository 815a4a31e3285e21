//! Checks the data files periodically, so that changes and errors are known before the next round
//! needs them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::LowPriorityPool;
use crate::jobs::Pipeline;
use crate::learning::Look;

/// The pause between two checks. A check of unchanged files costs a `stat` of each.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Checks the files periodically until it is dropped.
pub(super) struct DataWatch {
    now: Arc<Notify>,
    task: tokio::task::AbortHandle,
}

impl DataWatch {
    /// Starts checking, in the low-priority pool: rounds do not wait for files that are read.
    pub(super) fn start(low_priority: LowPriorityPool, pipeline: Arc<Pipeline>) -> Self {
        let now = Arc::new(Notify::new());
        let asked = Arc::clone(&now);
        let task = tokio::spawn(async move {
            loop {
                let when = tokio::select! {
                    () = asked.notified() => Look::Now,
                    () = tokio::time::sleep(CHECK_INTERVAL) => Look::WhenQuiet,
                };
                let pipeline = Arc::clone(&pipeline);
                // A panic in a library that parses a line must not end the checks.
                if let Err(error) = low_priority.run(move || pipeline.look_at_data(when)).await {
                    tracing::error!(%error, "the data files could not be checked for changes");
                }
            }
        });
        Self { now, task: task.abort_handle() }
    }

    /// Checks at once, also a file that is being written.
    pub(super) fn check_now(&self) {
        self.now.notify_one();
    }
}

impl Drop for DataWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
