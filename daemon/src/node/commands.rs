//! What an operator asks of a running node.

use std::sync::Arc;

use fedshield_protocol::event::Command;
use fedshield_protocol::ids::Round;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use super::turn::Node;
use crate::control::api::{
    ApiError, Done, ErrorCode, Evaluation, ExportRequest, ExportView, MemberView, Sample,
};
use crate::control::{ControlCommand, Reply};
use crate::host::Cancel;
use crate::pipeline::{Pipeline, PipelineError};

impl Node {
    pub(super) async fn command(
        &mut self,
        command: ControlCommand,
        stop: &CancellationToken,
    ) -> Result<(), NodeError> {
        match command {
            // Founding asks other nodes: never on this loop.
            ControlCommand::NewFederation(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.new_federation(request).await?) });
            }
            ControlCommand::Found(reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.found().await?) });
            }
            ControlCommand::Invite(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.invite(request).await?) });
            }
            ControlCommand::Join(request, reply) => {
                let founding = self.founding.clone();
                spawn(reply, async move { Ok(founding.join(request).await?) });
            }
            ControlCommand::Federation(reply) => {
                answer(reply, self.founding.federation().map_err(ApiError::from));
            }
            ControlCommand::Members(reply) => answer(reply, Ok(self.members())),
            ControlCommand::Rounds(reply) => {
                answer(
                    reply,
                    self.ledger.reports().map_err(|e| ApiError::new(e.code(), e.to_string())),
                );
            }
            ControlCommand::Ledger(reply) => answer(reply, self.ledger_bytes()),
            ControlCommand::Export(request, reply) => {
                self.with_pipeline(reply, move |pipeline| export(pipeline, request));
            }
            ControlCommand::Evaluate(reply) => self.with_pipeline(reply, evaluate),
            ControlCommand::Pause(reply) => self.operator(Command::Pause, reply).await?,
            ControlCommand::Resume(reply) => self.operator(Command::Resume, reply).await?,
            ControlCommand::Doctor(reply) => answer(reply, Ok(self.doctor())),
            ControlCommand::Stop(reply) => {
                answer(reply, Ok(Done {}));
                stop.cancel();
            }
        }
        Ok(())
    }

    async fn operator(&mut self, command: Command, reply: Reply<Done>) -> Result<(), NodeError> {
        match &mut self.host {
            Some(host) => {
                host.command(command).await?;
                answer(reply, Ok(Done {}));
            }
            None => answer(reply, Err(not_founded())),
        }
        Ok(())
    }

    fn members(&self) -> Vec<MemberView> {
        let mut members = self.founding.members();
        let status = self.status.borrow();
        if let Some(machine) = &status.machine {
            for (member, known) in members.iter_mut().zip(&machine.members) {
                member.status = Some(known.clone());
            }
        }
        members
    }

    fn ledger_bytes(&self) -> Result<Vec<u8>, ApiError> {
        let records = self.ledger.records().map_err(|e| ApiError::new(e.code(), e.to_string()))?;
        fedshield_protocol::ledger::encode(&records)
            .map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))
    }

    /// Runs work that takes long beside the rounds.
    fn with_pipeline<T: Send + 'static>(
        &self,
        reply: Reply<T>,
        work: impl FnOnce(&Pipeline) -> Result<T, ApiError> + Send + 'static,
    ) {
        let Some(host) = &self.host else {
            answer(reply, Err(not_founded()));
            return;
        };
        let pipeline: Arc<Pipeline> = host.pipeline();
        tokio::task::spawn_blocking(move || answer(reply, work(&pipeline)));
    }
}

fn export(pipeline: &Pipeline, request: ExportRequest) -> Result<ExportView, ApiError> {
    let (applied, adapter) = pipeline.adapter();
    if applied == 0 {
        let message = "no round has been applied yet, so there is no adapter";
        return Err(ApiError::new(ErrorCode::WrongState, message)
            .with_hint("wait for the first round: `fedshield-cli status --watch`"));
    }
    pipeline.export(&request.directory)?;
    let mut files: Vec<_> = std::fs::read_dir(&request.directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    Ok(ExportView {
        directory: request.directory,
        files,
        adapter_digest: adapter.root,
        round: Round(applied.saturating_sub(1)),
    })
}

fn evaluate(pipeline: &Pipeline) -> Result<Evaluation, ApiError> {
    let losses = pipeline.evaluate(&Cancel::default())?;
    Ok(Evaluation {
        base: losses.base,
        local: Some(losses.local),
        federated: Some(losses.federated),
        examples: losses.examples as u64,
        tokens: losses.tokens as u64,
        sample: losses.sample.map(|sample| Sample {
            prompt: sample.prompt,
            before: sample.before,
            after: sample.after,
        }),
    })
}

impl From<PipelineError> for ApiError {
    fn from(error: PipelineError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

fn not_founded() -> ApiError {
    ApiError::new(ErrorCode::WrongState, "the federation is not founded yet")
        .with_hint("see `fedshield-cli federation show` for what it waits for")
}

fn spawn<T: Send + 'static>(
    reply: Reply<T>,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) {
    tokio::spawn(async move { answer(reply, work.await) });
}

fn answer<T>(reply: Reply<T>, result: Result<T, ApiError>) {
    // Whoever asked may have gone.
    let _ = reply.send(result);
}
