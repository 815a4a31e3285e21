//! Runs jobs off the loop, a bounded number at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use fedshield_protocol::event::Event;
use fedshield_protocol::job::{Job, JobId, JobOutput};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Host, HostError};
use crate::error_code::ErrorCode;
use crate::jobs::Pipeline;

/// Concurrent jobs. Two: a member checks others' shares while it trains.
const WORKERS: usize = 2;
/// Capacity of the queue of finished jobs; a worker waits while it is full.
const FINISHED_CAPACITY: usize = 64;

/// A finished job.
pub(crate) struct Finished {
    pub(crate) id: JobId,
    pub(crate) result: Result<JobOutput, JobFailure>,
}

/// Why a job failed.
pub(crate) struct JobFailure {
    pub(crate) reason: String,
    /// The disk was full: the job is to be run again when space is free.
    pub(crate) disk_full: bool,
}

/// A job that was requested and has no result yet.
struct Running {
    job: Arc<Job>,
    /// The job checks it between steps and blocks.
    cancel: CancellationToken,
}

/// Starts jobs on the blocking pool and hands their results to the loop.
pub(crate) struct JobRunner {
    pipeline: Arc<Pipeline>,
    permits: Arc<Semaphore>,
    running: BTreeMap<JobId, Running>,
    finished: mpsc::Sender<Finished>,
}

impl JobRunner {
    /// A runner, and the channel of its results.
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> (Self, mpsc::Receiver<Finished>) {
        let (finished, receiver) = mpsc::channel(FINISHED_CAPACITY);
        let permits = Arc::new(Semaphore::new(WORKERS));
        (Self { pipeline, permits, running: BTreeMap::new(), finished }, receiver)
    }

    /// Starts a job as soon as a worker is free.
    pub(crate) fn start(&mut self, id: JobId, job: Job) {
        let (job, cancel) = (Arc::new(job), CancellationToken::new());
        self.running.insert(id, Running { job: Arc::clone(&job), cancel: cancel.clone() });
        self.run(id, job, cancel);
    }

    /// Runs a job again that ended without a result; does nothing if the result is no longer
    /// wanted.
    pub(crate) fn start_again(&mut self, id: JobId) {
        if let Some(Running { job, cancel }) = self.running.get(&id) {
            let (job, cancel) = (Arc::clone(job), cancel.clone());
            self.run(id, job, cancel);
        }
    }

    /// Whether the result is still wanted.
    pub(crate) fn is_wanted(&self, id: JobId) -> bool {
        self.running.contains_key(&id)
    }

    fn run(&self, id: JobId, job: Arc<Job>, cancel: CancellationToken) {
        let (pipeline, permits) = (Arc::clone(&self.pipeline), Arc::clone(&self.permits));
        let finished = self.finished.clone();
        tokio::spawn(async move {
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let work = tokio::task::spawn_blocking(move || pipeline.run(&job, &cancel));
            let result = match work.await {
                Ok(Ok(output)) => Ok(output),
                Ok(Err(error)) => Err(JobFailure {
                    reason: crate::error_chain(&error),
                    disk_full: error.code() == ErrorCode::DiskFull,
                }),
                // A panic in a numeric library must not take the daemon down with it.
                Err(join) => Err(JobFailure {
                    reason: format!("the job ended abnormally: {join}"),
                    disk_full: false,
                }),
            };
            // Fails only when the loop has ended, which is when the daemon stops.
            let _ = finished.send(Finished { id, result }).await;
        });
    }

    /// Removes a finished job; false if it was cancelled meanwhile and its result is not wanted.
    pub(crate) fn finish(&mut self, id: JobId) -> bool {
        self.running.remove(&id).is_some()
    }

    /// Ends a job early; its result will not be reported.
    pub(crate) fn cancel(&mut self, id: JobId) {
        if let Some(running) = self.running.remove(&id) {
            running.cancel.cancel();
        }
    }

    /// Ends all jobs.
    pub(crate) fn cancel_all(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            running.cancel.cancel();
        }
    }
}

impl Host {
    /// A job has ended: the machine learns its result, unless the disk was full and it is run
    /// again.
    pub(super) async fn job_ended(
        &mut self,
        Finished { id, result }: Finished,
    ) -> Result<(), HostError> {
        let result = match result {
            Err(JobFailure { reason, disk_full: true }) if self.jobs.is_wanted(id) => {
                self.disk_space.job_failed(id, &reason);
                return Ok(());
            }
            result => result,
        };
        self.disk_space.job_ended(id);
        if !self.jobs.finish(id) {
            return Ok(());
        }
        match result {
            Ok(output) => {
                let adopted = matches!(output, JobOutput::Adopted);
                self.handle(Event::JobDone(id, output)).await?;
                if adopted {
                    self.measure_again();
                }
                Ok(())
            }
            Err(JobFailure { reason, .. }) => {
                tracing::error!(job = id.0, %reason, "job failed");
                self.parts.status.send_modify(|status| status.last_error = Some(reason.clone()));
                self.handle(Event::JobFailed(id, reason)).await
            }
        }
    }
}
