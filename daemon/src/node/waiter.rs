//! Waiting for errors that may resolve: which ones those are, how they are shown to the operator,
//! and when to retry.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fedshield_train::TrainError;

use super::NodeError;
use super::files::Fingerprint;
use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};
use crate::error_code::ErrorCode;
use crate::founding::FoundingError;
use crate::host::disk_full;
use crate::jobs::PipelineError;

/// The pause between two checks of the files that are waited for.
const LOOK: Duration = Duration::from_secs(2);
/// A retry is made after this long even if nothing has changed: not every change shows in a file's
/// times.
const TRY_ANYWAY: Duration = Duration::from_secs(30);

/// The condition of a node that waits because of `error`; `None` if waiting cannot resolve it and
/// the process has to end.
///
/// `docs/OPERATING.md` has this as a table. `config check` asks the same.
#[must_use]
pub fn waits_for(error: &NodeError) -> Option<Condition> {
    if error.code() == ErrorCode::DiskFull {
        return Some(disk_full(&error.to_string()));
    }
    match error {
        NodeError::Device(_) => Some(blocking(
            "training-device",
            error,
            "check that its driver is loaded and works, or set `training.device` and restart the \
             node",
        )),
        NodeError::Model(_) => Some(base_model(error)),
        NodeError::Founding(FoundingError::ModelMismatch { .. }) => Some(blocking(
            "base-model",
            error,
            "put the federation's model there, byte for byte: it is read again when its files change; or set \
             `model.path` and restart the node",
        )),
        NodeError::Data(_) => Some(data_files(error)),
        NodeError::Pipeline(cause) => Some(of_pipeline(error, cause)),
        _ => None,
    }
}

fn of_pipeline(error: &NodeError, cause: &PipelineError) -> Condition {
    match cause {
        PipelineError::Train(TrainError::Data { .. }) => data_files(error),
        PipelineError::Train(TrainError::Device { .. }) => blocking(
            "training-device",
            error,
            "check that its driver is loaded and works, or set `training.device` and restart the \
             node",
        ),
        PipelineError::Train(_) => base_model(error),
        PipelineError::FirstAdapter { .. } => blocking(
            "first-adapter",
            error,
            "put the folder there: the node checks again by itself",
        ),
        PipelineError::Manifest { .. } => blocking(
            "terms",
            error,
            "change the setting that it names and restart the node, or use a version that knows these terms",
        ),
        PipelineError::Earlier => blocking("terms", error, cause.hint()),
        _ => blocking(
            "training-state",
            error,
            "fix the file that it names: the node checks it again by itself",
        ),
    }
}

fn base_model(error: &NodeError) -> Condition {
    blocking(
        "base-model",
        error,
        "mount or repair it: it is read again when its files change; or set `model.path` and \
         restart the node",
    )
}

fn data_files(error: &NodeError) -> Condition {
    blocking(
        "data-files",
        error,
        "mount or repair them (`fedshield-cli data check` lists all bad lines): they are read \
         again when they change; or \
         set `data.train` and restart the node",
    )
}

fn blocking(name: &str, error: &NodeError, hint: &str) -> Condition {
    let message = crate::error_chain(error);
    Condition::new(name, Severity::Blocking, message).with_hint(hint)
}

/// One operation that is retried until it succeeds.
pub(super) struct Waiter<'a> {
    conditions: &'a Conditions,
    /// A retry is made when these have changed.
    files: Vec<PathBuf>,
    /// The name of the condition that is shown.
    shown: Option<String>,
}

impl<'a> Waiter<'a> {
    pub(super) const fn new(conditions: &'a Conditions, files: Vec<PathBuf>) -> Self {
        Self { conditions, files, shown: None }
    }

    /// Shows what is waited for, and returns when a retry is due.
    ///
    /// # Errors
    /// The error itself, if waiting cannot resolve it.
    pub(super) async fn wait(&mut self, error: NodeError) -> Result<(), NodeError> {
        let Some(condition) = waits_for(&error) else { return Err(error) };
        if self.shown.as_ref().is_some_and(|shown| *shown != condition.name) {
            self.done();
        }
        self.shown = Some(condition.name.clone());
        self.conditions.set(condition);
        let since = Instant::now();
        let mut seen = self.fingerprint().await;
        let failed_with = seen.clone();
        // A changed file may still be being copied: retry only when it is unchanged between two
        // checks.
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.fingerprint().await;
            let quiet = now == seen;
            if quiet
                && (now != failed_with || since.elapsed() >= TRY_ANYWAY || self.files.is_empty())
            {
                return Ok(());
            }
            seen = now;
        }
    }

    /// The operation has succeeded: clears the condition.
    pub(super) fn done(&mut self) {
        if let Some(shown) = self.shown.take() {
            self.conditions.clear(&shown);
        }
    }

    async fn fingerprint(&self) -> Fingerprint {
        let files = self.files.clone();
        // A mount whose server is offline blocks; only this thread waits for it.
        on_thread("look", move || Fingerprint::of(&files)).await.unwrap_or_default()
    }
}

/// Runs work that may block for long, on a thread that a process exit does not wait for.
///
/// # Errors
/// [`NodeError::Gone`] if it panics, [`NodeError::System`] if there is no thread for it.
pub(super) async fn on_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NodeError> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        // Nobody waits for it any more if the node was stopped.
        let _ = done.send(work());
    })?;
    result.await.map_err(|_| NodeError::Gone(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::durable::DiskError;
    use crate::identity::IdentityError;

    fn io(kind: std::io::ErrorKind) -> TrainError {
        TrainError::Io { path: "/srv/x".into(), source: kind.into() }
    }

    #[test]
    fn what_time_can_mend_is_waited_for_and_nothing_else() {
        use rustix::io::Errno;
        let disk = |errno: Errno| NodeError::Disk(DiskError::at(Path::new("/x"), errno.into()));
        let setting = NodeError::Setting { key: "model.path", reason: "is not set".into() };
        let locked = IdentityError::Locked { path: "/x".into() };
        for (error, name) in [
            (NodeError::Model(io(std::io::ErrorKind::NotFound)), Some("base-model")),
            (NodeError::Data(io(std::io::ErrorKind::PermissionDenied)), Some("data-files")),
            (
                NodeError::Pipeline(PipelineError::Train(io(std::io::ErrorKind::StorageFull))),
                Some("disk-full"),
            ),
            (disk(Errno::NOSPC), Some("disk-full")),
            (disk(Errno::ROFS), Some("disk-full")),
            (disk(Errno::DQUOT), Some("disk-full")),
            (disk(Errno::IO), None),
            (DiskError::sync(Path::new("/x"), Errno::NOSPC.into()).into(), None),
            (setting, None),
            (locked.into(), None),
        ] {
            let condition = waits_for(&error);
            assert_eq!(condition.as_ref().map(|it| it.name.as_str()), name, "{error}");
            if let Some(condition) = condition {
                assert!(condition.hint.is_some() && condition.severity == Severity::Blocking);
            }
        }
    }
}
