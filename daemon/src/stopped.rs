//! What can be read in a home while no daemon runs: the ledger, the reports, the adapter. Changes nothing; holds the
//! home's lock meanwhile, so that no daemon starts under its hands.

use std::path::Path;
use std::sync::Arc;

use fedshield_train::TrainError;
use fedshield_train::adapter::export_peft;
use fedshield_train::federated::GlobalAdapter;

use crate::control::api::{ApiError, ErrorCode, ExportView, RoundReport};
use crate::home::{Home, HomeError, HomeLock};
use crate::objects::{ObjectStoreError, Objects};
use crate::store::{Ledger, SledStore};

/// A home without its daemon.
#[derive(Debug)]
pub struct Stopped {
    home: Home,
    ledger: Ledger,
    _lock: HomeLock,
}

impl Stopped {
    /// Opens `home`; `None` if no daemon has ever kept anything in it.
    ///
    /// # Errors
    /// If a daemon holds the home, or its store cannot be read.
    pub fn open(home: &Home) -> Result<Option<Self>, ApiError> {
        // Opening makes folders; looking must not.
        if !home.store().exists() {
            return Ok(None);
        }
        let lock = home.lock().map_err(|error| match error {
            HomeError::Disk(error) => ApiError::new(error.code(), error.to_string())
                .with_hint("run the command as the user of the daemon"),
            other => ApiError::new(ErrorCode::AddressInUse, other.to_string()).with_hint(
                "a daemon has this home and does not answer: it is starting or stopping; try again",
            ),
        })?;
        let ledger = Ledger::new(Arc::new(SledStore::open(&home.store())?));
        Ok(Some(Self { home: home.clone(), ledger, _lock: lock }))
    }

    /// The ledger's canonical bytes.
    ///
    /// # Errors
    /// What the store says.
    pub fn ledger(&self) -> Result<Vec<u8>, ApiError> {
        fedshield_protocol::ledger::encode(&self.ledger.records()?)
            .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    }

    /// All reports, oldest round first.
    ///
    /// # Errors
    /// What the store says.
    pub fn rounds(&self) -> Result<Vec<RoundReport>, ApiError> {
        Ok(self.ledger.reports()?)
    }

    /// Writes the ledger's last adapter as a PEFT folder; `base_model` is what PEFT will call the base.
    ///
    /// # Errors
    /// If no round was applied, the adapter is not here, or the folder cannot be written.
    pub fn export(&self, directory: &Path, base_model: &str) -> Result<ExportView, ApiError> {
        let Some((round, adapter)) = self.ledger.last_applied()? else {
            return Err(ApiError::new(ErrorCode::WrongState, "no round has been applied yet")
                .with_hint("start the daemon and wait for the first round"));
        };
        let failed = |error: String| ApiError::new(ErrorCode::Internal, error);
        let objects = Objects::open(&self.home.objects())?;
        let bytes = objects.read(&adapter)?;
        let global =
            GlobalAdapter::from_bytes(&bytes).map_err(|error| failed(error.to_string()))?;
        export_peft(directory, &global, base_model).map_err(|error| not_written(&error))?;
        Ok(ExportView {
            directory: directory.to_path_buf(),
            files: adapter_files(directory),
            adapter_digest: adapter.root,
            round,
        })
    }
}

/// Why an adapter could not be written to the folder that somebody named.
pub(crate) fn not_written(error: &TrainError) -> ApiError {
    let TrainError::Io { source, .. } = error else {
        return ApiError::new(ErrorCode::Internal, error.to_string());
    };
    let answer = |code| ApiError::new(code, format!("cannot write the adapter: {error}"));
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            answer(ErrorCode::DiskFull).with_hint("free some space, then export again")
        }
        _ => answer(ErrorCode::InvalidRequest)
            .with_hint("name a folder that the user of the daemon may write to"),
    }
}

/// The files of an exported adapter, in order; not what else lies in the folder.
pub(crate) fn adapter_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let is_adapter = |path: &std::path::PathBuf| {
        path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("adapter_"))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_adapter).collect();
    files.sort();
    files
}

impl From<ObjectStoreError> for ApiError {
    fn from(error: ObjectStoreError) -> Self {
        let missing =
            matches!(error, ObjectStoreError::NotFound { .. } | ObjectStoreError::Damaged { .. });
        let answer = Self::new(error.code(), error.to_string());
        if missing {
            answer.with_hint("start the daemon: it fetches the adapter from the other members")
        } else {
            answer
        }
    }
}
