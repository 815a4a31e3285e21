//! The adapter that a federation starts from: named by its digest in the manifest, brought as files by every member.

use std::path::{Path, PathBuf};

use fedshield_protocol::ids::Digest;
use fedshield_train::TrainError;
use fedshield_train::adapter::PeftAdapter;
use fedshield_train::federated::AdapterSpec;

use super::OfflineError;
use crate::durable;
use crate::home::Home;

/// The files of a PEFT folder that mean something here.
const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// An adapter to start from.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstAdapter {
    /// Its folder.
    pub folder: PathBuf,
    /// Rank, alpha and projections.
    pub spec: AdapterSpec,
    /// Its name in a manifest.
    pub digest: Digest,
}

impl FirstAdapter {
    /// Reads a PEFT folder.
    ///
    /// # Errors
    /// A folder that PEFT would not read either, or an adapter that is more than `W + alpha/r B A`.
    pub fn open(folder: &Path) -> Result<Self, OfflineError> {
        let peft = PeftAdapter::open(folder).map_err(OfflineError::Adapter)?;
        let digest = Digest(peft.digest().map_err(OfflineError::Adapter)?);
        Ok(Self { folder: folder.to_owned(), spec: peft.spec().clone(), digest })
    }

    /// The one that is kept in a home; `None` if there is none.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub fn of(home: &Home) -> Result<Option<Self>, OfflineError> {
        let folder = home.first_adapter();
        if folder.exists() { Self::open(&folder).map(Some) } else { Ok(None) }
    }

    /// Copies it into a home, in place of another one. A home that is in a federation keeps what it has.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, home: &Home) -> Result<(), OfflineError> {
        if home.manifest().exists() {
            return Ok(());
        }
        let to = home.first_adapter();
        let disk = |e: crate::durable::DiskError| {
            let source = std::io::Error::other(e.to_string());
            OfflineError::Work(TrainError::Io { path: to.clone(), source })
        };
        durable::make_folder(&to).map_err(disk)?;
        for name in FILES {
            let from = self.folder.join(name);
            let bytes = std::fs::read(&from)
                .map_err(|source| OfflineError::Adapter(TrainError::Io { path: from, source }))?;
            durable::replace(&to.join(name), &bytes).map_err(disk)?;
        }
        Ok(())
    }
}
