//! The adapter that a federation starts from: named by its digest in the manifest, supplied as
//! files by every member.

use std::path::{Path, PathBuf};

use fedshield_protocol::ids::Digest;
use fedshield_train::TrainError;
use fedshield_train::adapter::PeftAdapter;
use fedshield_train::federated::AdapterSpec;

use crate::durable::{self, DiskError};
use crate::error_code::ErrorCode;
use crate::home::Home;

/// The files of a PEFT folder that are used.
const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// Why a federation cannot start from an adapter.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdapterError {
    /// The folder is not an adapter that a federation can start from.
    #[error("adapter: {0}")]
    Adapter(#[source] TrainError),
    /// The copy in the home could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl FirstAdapterError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Adapter(_) => ErrorCode::ModelUnreadable,
            Self::Disk(error) => error.code(),
        }
    }
}

/// An adapter to start from.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstAdapter {
    /// Its folder.
    pub folder: PathBuf,
    /// Rank, alpha and projections of a federation that starts from it.
    pub spec: AdapterSpec,
    /// Whether the adapter itself has other ranks, scales or projections than the federation's,
    /// which computes the same.
    pub filled_up: bool,
    /// Its digest in a manifest.
    pub digest: Digest,
}

impl FirstAdapter {
    /// Reads a PEFT folder.
    ///
    /// # Errors
    /// A folder that PEFT would not read either, or an adapter that is more than `W + scale B A`.
    pub fn open(folder: &Path) -> Result<Self, FirstAdapterError> {
        let peft = PeftAdapter::open(folder).map_err(FirstAdapterError::Adapter)?;
        let digest = Digest(peft.digest().map_err(FirstAdapterError::Adapter)?);
        let spec = peft.federated_spec();
        Ok(Self { folder: folder.to_owned(), spec, filled_up: peft.is_filled_up(), digest })
    }

    /// The first adapter stored in a home; `None` if there is none.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub fn of(home: &Home) -> Result<Option<Self>, FirstAdapterError> {
        let folder = home.first_adapter();
        if folder.exists() { Self::open(&folder).map(Some) } else { Ok(None) }
    }

    /// Copies it into a home, replacing an earlier one. A home that is in a federation keeps what
    /// it has.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn keep(&self, home: &Home) -> Result<(), FirstAdapterError> {
        if home.manifest().exists() {
            return Ok(());
        }
        let to = home.first_adapter();
        durable::make_folder(&to)?;
        for name in FILES {
            let from = self.folder.join(name);
            let bytes = std::fs::read(&from).map_err(|source| {
                FirstAdapterError::Adapter(TrainError::Io { path: from, source })
            })?;
            durable::replace(&to.join(name), &bytes)?;
        }
        Ok(())
    }
}
