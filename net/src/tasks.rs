//! The background tasks of one node: cancelled together, and joined before the shutdown is
//! confirmed.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns the tasks of one node. Clones share the tracker and the token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    /// Spawns `task`, which must end soon after [`Tasks::token`] is cancelled; false, and nothing
    /// is spawned, once the node is shutting down.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        // Held until the task is counted, so that a shutdown that begins meanwhile waits for it.
        let slot = self.tracker.token();
        let is_running = !self.cancel.is_cancelled();
        if is_running {
            self.tracker.spawn(task);
        }
        drop(slot);
        is_running
    }

    /// Cancelled when the node shuts down.
    pub(crate) const fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Cancels every task and returns when all have ended.
    pub(crate) async fn shut_down(&self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shutdown_waits_for_every_task_and_no_task_starts_after_it() {
        let tasks = Tasks::default();
        for _ in 0..3 {
            let token = tasks.token().clone();
            assert!(tasks.spawn(async move { token.cancelled().await }));
        }
        tasks.shut_down().await;
        assert!(tasks.tracker.is_empty());
        assert!(!tasks.spawn(async {}));
    }
}
