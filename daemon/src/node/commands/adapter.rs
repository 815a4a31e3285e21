//! Commands about adapters: they are slow, and run concurrently with the rounds.

use std::sync::Arc;

use fedshield_protocol::ids::Round;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{Measured, Outcome};
use tokio_util::sync::CancellationToken;

use super::answer;
use crate::adapter_export::{self, adapter_files};
use crate::comparing;
use crate::control::Reply;
use crate::control::api::{
    AdapterKind, ApiError, AtHome, AtHomeState, ErrorCode, EvaluateRequest, Evaluation,
    ExportRequest, ExportView, WhichAdapter, WhichRound,
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
    if let Some(which) = request.round {
        return export_round(pipeline, ledger, &request, which);
    }
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

/// Rounds that a refusal names at most.
const MOST_NAMED: usize = 8;

/// Writes the common adapter as it was after a round.
fn export_round(
    pipeline: &Pipeline,
    ledger: &Ledger,
    request: &ExportRequest,
    which: WhichRound,
) -> Result<ExportView, ApiError> {
    if request.which != WhichAdapter::Common {
        let message = "only the common adapter has rounds";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let rounds = Rounds::of(ledger)?;
    let (round, adapter) = match which {
        WhichRound::At(round) => rounds.at(Round(round))?,
        WhichRound::Best => rounds.best()?,
    };
    if !pipeline.export_object(&request.directory, &adapter).map_err(not_written)? {
        return Err(rounds.not_here(pipeline, round)?);
    }
    let files = adapter_files(&request.directory);
    let (directory, kind) = (request.directory.clone(), AdapterKind::Common);
    Ok(ExportView { directory, files, kind, adapter_digest: adapter.root, round })
}

/// What the ledger says of the common adapters so far.
struct Rounds {
    /// The applied rounds, oldest first.
    applied: Vec<(Round, ObjectRef)>,
    ended: u64,
    /// The lowest mean of the members' losses, and the applied round that it is of; `None` before
    /// the first one.
    best: Option<(f64, Option<(Round, ObjectRef)>)>,
}

impl Rounds {
    fn of(ledger: &Ledger) -> Result<Self, ApiError> {
        let (mut applied, mut best) = (Vec::new(), None::<(f64, Option<(Round, ObjectRef)>)>);
        let records = ledger.records()?;
        for certified in &records {
            let record = &certified.record;
            if let Some(mean) = record.outcome.measured().map(Measured::mean)
                && best.is_none_or(|(lowest, _)| mean < lowest)
            {
                best = Some((mean, applied.last().copied()));
            }
            if let (Outcome::Applied { .. }, Some(adapter)) = (&record.outcome, record.adapter) {
                applied.push((record.round, adapter));
            }
        }
        Ok(Self { applied, ended: records.len() as u64, best })
    }

    /// The adapter after a round, and the last round that changed it.
    fn at(&self, round: Round) -> Result<(Round, ObjectRef), ApiError> {
        if round.0 >= self.ended {
            let message = format!("round {round} has not ended; {} rounds have", self.ended);
            return Err(ApiError::new(ErrorCode::InvalidRequest, message)
                .with_hint("`fedshield-cli rounds` lists them, from 0"));
        }
        let before = self.applied.iter().rev().find(|(applied, _)| *applied <= round).copied();
        before.ok_or_else(|| {
            let message = format!("no round had been applied by the end of round {round}");
            ApiError::new(ErrorCode::WrongState, message)
        })
    }

    fn best(&self) -> Result<(Round, ObjectRef), ApiError> {
        match self.best {
            Some((_, Some(best))) => Ok(best),
            Some((_, None)) => {
                let message = "the members' mean loss was lowest before the first round: no round \
                               has improved it";
                Err(ApiError::new(ErrorCode::WrongState, message))
            }
            None => {
                let message = "the ledger holds no mean of the members' losses";
                Err(ApiError::new(ErrorCode::WrongState, message).with_hint(
                    "a federation whose terms say `evaluation = \"mean\"` has one; `--round N` \
                     takes a round by its number",
                ))
            }
        }
    }

    /// The refusal for an adapter that is not stored here, with the rounds whose adapters are.
    fn not_here(&self, pipeline: &Pipeline, round: Round) -> Result<ApiError, ApiError> {
        let mut here = Vec::new();
        for (round, adapter) in self.applied.iter().rev() {
            if here.len() < MOST_NAMED && pipeline.holds(adapter)? {
                here.push(round.to_string());
            }
        }
        here.reverse();
        let message = format!(
            "the adapter after round {round} is not stored here any more; those after rounds {} are",
            here.join(", ")
        );
        Ok(ApiError::new(ErrorCode::WrongState, message).with_hint(
            "members keep the last two and the one with the lowest mean: ask another one",
        ))
    }
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
