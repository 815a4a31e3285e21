//! The tasks of one node: all of them end before the shutdown is confirmed.

use std::sync::Arc;

use tokio::sync::watch;

/// Starts tasks and stops them together.
#[derive(Debug, Clone)]
pub(crate) struct Tasks(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    running: usize,
}

/// Tells one task to stop.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<State>);

/// Counts a task as ended even if it panics.
struct Running(Arc<watch::Sender<State>>);

impl Tasks {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Starts `task`, unless the node is stopping. It must end soon after its stop signal.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let started = self.0.send_if_modified(|state| {
            if !state.stopping {
                state.running += 1;
            }
            !state.stopping
        });
        if started {
            let running = Running(self.0.clone());
            tokio::spawn(async move {
                task.await;
                drop(running);
            });
        }
        started
    }

    pub(crate) fn stop_signal(&self) -> StopSignal {
        StopSignal(self.0.subscribe())
    }

    /// Tells every task to stop and returns when all have ended.
    pub(crate) async fn stop(&self) {
        self.0.send_modify(|state| state.stopping = true);
        // The sender is held by self, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|state| state.running == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.running = state.running.saturating_sub(1));
    }
}

impl StopSignal {
    /// Returns when it is time to stop.
    pub(crate) async fn stopped(&mut self) {
        // An error means that the sender is gone, so the node is too.
        let _ = self.0.wait_for(|state| state.stopping).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_waits_for_every_task_and_starts_no_more() {
        let tasks = Tasks::new();
        for _ in 0..3 {
            let mut stop = tasks.stop_signal();
            assert!(tasks.spawn(async move { stop.stopped().await }));
        }
        tasks.stop().await;
        assert_eq!(tasks.0.borrow().running, 0);
        assert!(!tasks.spawn(async {}));
    }
}
