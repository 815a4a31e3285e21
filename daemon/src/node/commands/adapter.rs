//! Commands about adapters: they are slow, and run concurrently with the rounds.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::answer;
use crate::adapter_export::{self, adapter_files};
use crate::control::Reply;
use crate::control::api::{ApiError, ErrorCode, Evaluation, ExportRequest, ExportView, Sample};
use crate::jobs::{Pipeline, PipelineError};
use crate::node::turn::Node;
use crate::store::Ledger;

impl Node {
    /// Trains an adapter on this member's data alone and compares it, at the lowest priority;
    /// cancelled when the client disconnects.
    pub(super) fn evaluate(&self, mut reply: Reply<Evaluation>) {
        let Some(host) = &self.host else { return answer(reply, Err(self.no_host())) };
        let (pipeline, low_priority) = (host.pipeline(), self.low_priority.clone());
        tokio::spawn(async move {
            let work = low_priority.evaluate(move |cancel| evaluate(&pipeline, cancel));
            let result = tokio::select! {
                result = work => result,
                () = reply.closed() => return,
            };
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
    let Some((round, _)) = ledger.last_applied()? else {
        let message = "no round has been applied yet, so there is no adapter";
        return Err(ApiError::new(ErrorCode::WrongState, message)
            .with_hint("wait for the first round: `fedshield-cli status --watch`"));
    };
    let adapter = pipeline.export(&request.directory).map_err(not_written)?;
    let files = adapter_files(&request.directory);
    Ok(ExportView { directory: request.directory, files, adapter_digest: adapter.root, round })
}

/// The folder is the caller's choice, not a fault of the daemon.
fn not_written(error: PipelineError) -> ApiError {
    match error {
        PipelineError::Train(error) => adapter_export::not_written(&error),
        other => other.into(),
    }
}

fn evaluate(pipeline: &Pipeline, cancel: &CancellationToken) -> Result<Evaluation, ApiError> {
    let losses = pipeline.evaluate(cancel)?;
    Ok(Evaluation {
        base: losses.base,
        local: Some(losses.local),
        federated: Some(losses.federated),
        examples: losses.examples as u64,
        tokens: losses.tokens as u64,
        sample: losses.sample.map(|sample| Sample {
            prompt: sample.prompt,
            reference: sample.reference,
            before: sample.before,
            after: sample.after,
        }),
    })
}
