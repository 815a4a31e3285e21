//! Commands about adapters: they are slow, and run concurrently with the rounds.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::answer;
use crate::adapter_export::{self, adapter_files};
use crate::control::Reply;
use crate::control::api::{
    AdapterKind, ApiError, ErrorCode, EvaluateRequest, Evaluation, ExportRequest, ExportView,
    RoundOutcome, WhichAdapter,
};
use crate::jobs::{Pipeline, PipelineError, README_FILE, Stage, rounds_of_training_alone};
use crate::node::turn::Node;
use crate::store::Ledger;

/// Longest time, in seconds, that training alone may take if nobody asked for it.
const LONGEST_UNASKED_S: f64 = 3600.0;

impl Node {
    /// Makes what this member can make at home and compares it, at the lowest priority; cancelled
    /// when the client disconnects.
    pub(super) fn evaluate(&self, request: EvaluateRequest, mut reply: Reply<Evaluation>) {
        let Some(host) = &self.host else { return answer(reply, Err(self.no_host())) };
        let (pipeline, low_priority) = (host.pipeline(), self.low_priority.clone());
        let (status, ledger) = (Arc::clone(&self.status), Arc::clone(&self.ledger));
        tokio::spawn(async move {
            let evaluated = Arc::clone(&pipeline);
            let work = move |cancel: &CancellationToken| -> Result<Evaluation, ApiError> {
                let takes = alone_takes_s(&ledger)?;
                let alone = request.alone.unwrap_or(takes <= LONGEST_UNASKED_S);
                let made = evaluated.evaluate(alone, cancel)?;
                let left_out = request.alone.is_none() && !alone;
                Ok(Evaluation { alone_takes_s: left_out.then_some(takes), ..made })
            };
            let result = tokio::select! {
                result = low_priority.evaluate(work) => result,
                () = reply.closed() => return,
            };
            if let Ok(comparison) = pipeline.comparison() {
                status.send_modify(|status| status.comparison = comparison);
            }
            answer(reply, result.unwrap_or_else(|error| Err(error.into())));
        });
    }

    /// Runs slow work concurrently with the rounds.
    pub(super) fn with_pipeline<T: Send + 'static>(
        &self,
        reply: Reply<T>,
        work: impl FnOnce(&Pipeline) -> Result<T, ApiError> + Send + 'static,
    ) {
        let Some(host) = &self.host else {
            answer(reply, Err(self.no_host()));
            return;
        };
        let pipeline: Arc<Pipeline> = host.pipeline();
        tokio::task::spawn_blocking(move || answer(reply, work(&pipeline)));
    }
}

/// About how long training alone takes here, by the seconds that the rounds trained; 0 if unknown.
fn alone_takes_s(ledger: &Ledger) -> Result<f64, ApiError> {
    let reports = ledger.reports()?;
    let trained = reports.iter().filter_map(|report| report.seconds.get(Stage::Train.word()));
    let (sum, rounds) = trained.fold((0.0, 0u64), |(sum, rounds), s| (sum + s, rounds + 1));
    let applied = reports.iter().filter(|it| it.outcome == RoundOutcome::Applied).count();
    Ok(sum / rounds.max(1) as f64 * rounds_of_training_alone(applied as u64))
}

pub(super) fn export(
    pipeline: &Pipeline,
    ledger: &Ledger,
    request: ExportRequest,
) -> Result<ExportView, ApiError> {
    let Some((round, adapter)) = ledger.last_applied()? else {
        let message = "no round has been applied yet, so there is no adapter";
        return Err(ApiError::new(ErrorCode::WrongState, message)
            .with_hint("wait for the first round: `fedshield-cli status --watch`"));
    };
    let kind = match request.which {
        WhichAdapter::Common => AdapterKind::Common,
        WhichAdapter::Personal => AdapterKind::Personal,
        WhichAdapter::Best => pipeline.comparison()?.ok_or_else(not_compared)?.best,
    };
    if !pipeline.export(&request.directory, kind).map_err(not_written)? {
        return Err(not_compared());
    }
    let mut files = adapter_files(&request.directory);
    if kind != AdapterKind::Common {
        files.push(request.directory.join(README_FILE));
    }
    let adapter_digest = adapter.root;
    Ok(ExportView { directory: request.directory, files, kind, adapter_digest, round })
}

fn not_compared() -> ApiError {
    let message = "no personal adapter has been made from the common adapter of now";
    ApiError::new(ErrorCode::WrongState, message)
        .with_hint("`fedshield-cli compare` makes it and chooses the best; then export again")
}

/// The folder is the caller's choice, not a fault of the daemon.
fn not_written(error: PipelineError) -> ApiError {
    match error {
        PipelineError::Train(error) => adapter_export::not_written(&error),
        other => other.into(),
    }
}
