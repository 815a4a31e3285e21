//! Measures the held-out loss after each applied round and adds it to the round's report.
//!
//! Rounds never wait for it: it runs in [`LowPriorityPool`]. One measurement at a time is run to
//! its end; of the waiting ones only the newest is taken, so that a member that is always busy
//! measures every other round instead of none.

use std::sync::Arc;

use fedshield_protocol::ids::{Digest, Round};
use fedshield_protocol::object::ObjectRef;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::drift::Trend;
use super::{LowPriorityPool, PoolError};
use crate::conditions::Conditions;
use crate::control::api::{HeldOut, NodeStatus};
use crate::jobs::{HeldOutLoss, Pipeline, PipelineError};
use crate::store::{Ledger, StoreError};

/// An adapter and the round that made it.
type Wanted = Option<(Round, ObjectRef)>;

/// Asks for measurements. Dropping it ends them.
pub(super) struct Measurer {
    wanted: watch::Sender<Wanted>,
    cancel: CancellationToken,
}

impl Measurer {
    /// Shows the last measurement of earlier runs and starts waiting for the next.
    pub(super) fn start(
        low_priority: LowPriorityPool,
        pipeline: Arc<Pipeline>,
        ledger: Arc<Ledger>,
        status: Arc<watch::Sender<NodeStatus>>,
    ) -> Self {
        let (wanted, receiver) = watch::channel(None);
        let cancel = CancellationToken::new();
        if pipeline.has_held_out() {
            let last = ledger.held_out();
            status.send_modify(|status| status.held_out = last);
        } else {
            tracing::info!("no held-out data: the loss after each round is not measured");
        }
        let (base, trend, ends) = (None, Trend::held_out(), cancel.clone());
        let work = Measuring { low_priority, pipeline, ledger, status, cancel: ends, base, trend };
        tokio::spawn(work.run(receiver));
        Self { wanted, cancel }
    }

    /// Measures `adapter` as soon as the pool is free, in place of any that is waiting.
    pub(super) fn request(&self, round: Round, adapter: ObjectRef) {
        self.wanted.send_if_modified(|wanted| {
            let new = Some((round, adapter));
            let changed = *wanted != new;
            *wanted = new;
            changed
        });
    }

    pub(super) fn stop(&self) {
        self.cancel.cancel();
    }
}

impl Drop for Measurer {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct Measuring {
    low_priority: LowPriorityPool,
    pipeline: Arc<Pipeline>,
    ledger: Arc<Ledger>,
    status: Arc<watch::Sender<NodeStatus>>,
    cancel: CancellationToken,
    /// The sample and the base model's loss on it, once measured in this run: the data may change.
    base: Option<([u8; 32], f64)>,
    /// Detects a loss that gets worse from round to round.
    trend: Trend,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Spare(#[from] PoolError),
}

impl Measuring {
    async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        self.recall().await;
        self.show_comparison().await;
        while wanted.changed().await.is_ok() {
            let Some((round, adapter)) = *wanted.borrow_and_update() else { continue };
            self.show_comparison().await;
            if self.is_measured(round).await {
                continue;
            }
            match self.measure_round(round, adapter).await {
                Ok(loss) => tracing::info!(%round, loss, "held-out"),
                Err(MeasureError::Pipeline(PipelineError::Cancelled)) => return,
                Err(MeasureError::Pipeline(PipelineError::NoHeldOut)) => {}
                // Nothing depends on the loss: the round's report is kept without it.
                Err(error) => tracing::warn!(%round, %error, "held-out loss not measured"),
            }
        }
    }

    /// Continues the trend of the rounds that were measured in earlier runs.
    async fn recall(&mut self) {
        let ledger = Arc::clone(&self.ledger);
        let reports = tokio::task::spawn_blocking(move || ledger.reports()).await;
        // Without them the trend begins anew.
        let Ok(Ok(reports)) = reports else { return };
        self.trend.recall(&reports, |report| report.held_out_loss);
        let base = self.status.borrow().held_out.as_ref().and_then(|held_out| held_out.base);
        if let Some(base) = base {
            self.trend.against(base);
        }
        self.trend.show(&Conditions::new(Arc::clone(&self.status)));
    }

    /// Whether `round` was measured in an earlier run; the base model's loss is then known as well.
    async fn is_measured(&self, round: Round) -> bool {
        let ledger = Arc::clone(&self.ledger);
        let report = tokio::task::spawn_blocking(move || ledger.report(round)).await;
        matches!(report, Ok(Ok(Some(report))) if report.held_out_loss.is_some())
    }

    async fn measure_round(
        &mut self,
        round: Round,
        adapter: ObjectRef,
    ) -> Result<f64, MeasureError> {
        let measured = self.loss_of(Some(adapter)).await?;
        // If the data change between the two measurements, the losses are not comparable and not
        // shown together.
        self.base = self.base.filter(|(sample, _)| *sample == measured.sample);
        self.show(round, &measured).await?;
        if self.base.is_none() {
            let base = self.loss_of(None).await?;
            if base.sample == measured.sample {
                self.base = Some((base.sample, base.loss));
                self.show(round, &measured).await?;
            }
        }
        Ok(measured.loss)
    }

    /// Shows the last comparison as long as it was made with the common adapter of now.
    async fn show_comparison(&self) {
        let pipeline = Arc::clone(&self.pipeline);
        match self.low_priority.run(move || pipeline.comparison()).await {
            Ok(Ok(comparison)) => {
                self.status.send_modify(|status| status.comparison = comparison);
            }
            Ok(Err(error)) => tracing::warn!(%error, "the last comparison cannot be read"),
            Err(_) => {}
        }
    }

    async fn loss_of(&self, adapter: Option<ObjectRef>) -> Result<HeldOutLoss, MeasureError> {
        let (pipeline, cancel) = (Arc::clone(&self.pipeline), self.cancel.clone());
        let work = move || pipeline.measure(adapter.as_ref(), &cancel);
        Ok(self.low_priority.run(work).await??)
    }

    async fn show(&mut self, round: Round, measured: &HeldOutLoss) -> Result<(), MeasureError> {
        let held_out = HeldOut {
            round,
            loss: measured.loss,
            base: self.base.map(|(_, loss)| loss),
            examples: measured.examples as u64,
            tokens: measured.tokens as u64,
            sample: Some(Digest(measured.sample)),
        };
        let (ledger, kept) = (Arc::clone(&self.ledger), held_out.clone());
        let store = move || -> Result<(), StoreError> {
            if let Some(mut report) = ledger.report(kept.round)? {
                report.held_out_loss = Some(kept.loss);
                ledger.put_report(&report)?;
            }
            ledger.put_held_out(&kept)
        };
        tokio::task::spawn_blocking(store).await.map_err(|_| PoolError::Lost)??;
        self.trend.add(round, held_out.loss);
        if let Some(base) = held_out.base {
            self.trend.against(base);
        }
        self.trend.show(&Conditions::new(Arc::clone(&self.status)));
        self.status.send_modify(|status| status.held_out = Some(held_out));
        Ok(())
    }
}
