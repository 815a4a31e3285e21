//! Once the federation is done: trains on from the common adapter at home, at the lowest priority,
//! and keeps what this member's validation data say is best, without being asked.
//!
//! A stop ends it at the next step. What was finished by then is kept, and the next start makes the
//! rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::LowPriorityPool;
use crate::comparing::make_at_home;
use crate::control::api::{ApiError, AtHome, AtHomeState, NodeState, NodeStatus};
use crate::jobs::Pipeline;
use crate::store::Ledger;

/// How often it is checked whether the last adapter has arrived.
const LOOK: Duration = Duration::from_secs(1);

/// The work; dropping it ends it.
pub(super) struct WorkAtHome {
    cancel: CancellationToken,
}

impl WorkAtHome {
    /// Waits until the federation is done, unless the configuration says not to (`wanted`).
    pub(super) fn start(
        wanted: bool,
        low_priority: LowPriorityPool,
        pipeline: Arc<Pipeline>,
        ledger: Arc<Ledger>,
        status: Arc<watch::Sender<NodeStatus>>,
    ) -> Self {
        let cancel = CancellationToken::new();
        let ends = cancel.clone();
        let work = Work { wanted, low_priority, pipeline, ledger, status };
        tokio::spawn(async move {
            tokio::select! {
                () = work.run() => {}
                () = ends.cancelled() => {}
            }
        });
        Self { cancel }
    }

    pub(super) fn stop(&self) {
        self.cancel.cancel();
    }
}

impl Drop for WorkAtHome {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct Work {
    wanted: bool,
    low_priority: LowPriorityPool,
    pipeline: Arc<Pipeline>,
    ledger: Arc<Ledger>,
    status: Arc<watch::Sender<NodeStatus>>,
}

impl Work {
    async fn run(self) {
        let mut seen = self.status.subscribe();
        if seen.wait_for(|status| status.state == NodeState::Done).await.is_err() {
            return;
        }
        if !self.wanted {
            self.show(AtHomeState::Off, Some("`training.personal` is false".to_owned()));
            return;
        }
        // The record of the last round may be here before its adapter.
        while !self.pipeline.has_last_adapter() {
            self.show(AtHomeState::Waiting, Some("the last adapter has not arrived".to_owned()));
            tokio::time::sleep(LOOK).await;
        }
        match self.pipeline.comparison() {
            Ok(Some(_)) => return self.show(AtHomeState::Done, None),
            Ok(None) => {}
            Err(error) => return self.show(AtHomeState::Failed, Some(error.to_string())),
        }
        self.show(AtHomeState::Running, None);
        match self.make().await {
            Ok(()) => {
                self.show_comparison();
                self.show(AtHomeState::Done, None);
            }
            Err(error) => {
                tracing::warn!(error = %error.message, "no personal adapter was made");
                self.show(AtHomeState::Failed, Some(error.message));
            }
        }
    }

    async fn make(&self) -> Result<(), ApiError> {
        let (pipeline, ledger) = (Arc::clone(&self.pipeline), Arc::clone(&self.ledger));
        let work = move |cancel: &CancellationToken| make_at_home(&pipeline, &ledger, cancel);
        self.low_priority.evaluate_unasked(work).await?
    }

    fn show_comparison(&self) {
        match self.pipeline.comparison() {
            Ok(comparison) => {
                self.status.send_modify(|status| status.comparison = comparison);
            }
            Err(error) => tracing::warn!(%error, "the comparison cannot be read"),
        }
    }

    fn show(&self, state: AtHomeState, reason: Option<String>) {
        let shown = Some(AtHome { state, reason });
        self.status.send_if_modified(|status| {
            let changed = status.at_home != shown;
            status.at_home.clone_from(&shown);
            changed
        });
    }
}
