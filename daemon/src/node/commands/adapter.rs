//! Commands about adapters: they are slow, and run concurrently with the rounds.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::answer;
use crate::adapter_export::{self, adapter_files};
use crate::comparing;
use crate::control::Reply;
use crate::control::api::{
    AdapterKind, ApiError, AtHome, AtHomeState, ErrorCode, EvaluateRequest, Evaluation,
    ExportRequest, ExportView, WhichAdapter,
};
use crate::jobs::{Pipeline, PipelineError, README_FILE};
use crate::node::turn::Node;
use crate::store::Ledger;

impl Node {
    /// Makes what this member can make at home and compares it, at the lowest priority; cancelled
    /// when the client disconnects.
    pub(super) fn evaluate(&self, request: EvaluateRequest, mut reply: Reply<Evaluation>) {
        if let Err(error) = comparing::check(&request) {
            return answer(reply, Err(error));
        }
        let Some(host) = &self.host else { return answer(reply, Err(self.no_host())) };
        let (pipeline, low_priority) = (host.pipeline(), self.low_priority.clone());
        let (status, ledger) = (Arc::clone(&self.status), Arc::clone(&self.ledger));
        tokio::spawn(async move {
            let evaluated = Arc::clone(&pipeline);
            let work = move |cancel: &CancellationToken| {
                comparing::compare(&evaluated, &ledger, &request, cancel)
            };
            let result = tokio::select! {
                result = low_priority.evaluate(work) => result,
                () = reply.closed() => return,
            };
            if let Ok(comparison) = pipeline.comparison() {
                status.send_modify(|status| {
                    // What was to be made without being asked has been made.
                    if comparison.is_some() && status.at_home.is_some() {
                        status.at_home = Some(AtHome { state: AtHomeState::Done, reason: None });
                    }
                    status.comparison = comparison;
                });
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
