//! A PEFT folder in another format.

use std::path::{Path, PathBuf};

use fedshield_train::adapter::{Adapter, ModuleNames, PeftAdapter, export_gguf_adapter};
use fedshield_train::load::open_config;
use serde::Serialize;
use tempfile::TempDir;

use super::OfflineError;
use crate::control::api::{ApiError, ErrorCode};

/// The result of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GgufAdapterReport {
    /// The file.
    pub file: PathBuf,
    /// Number of projections with an adapter.
    pub adapted: usize,
}

/// A PEFT folder that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeftFolderReport {
    /// The folder.
    pub directory: PathBuf,
    /// How its modules are named.
    pub names: ModuleNames,
}

/// Converts the PEFT folder `adapter`, made for the model at `model`, to a GGUF file that llama.cpp
/// loads with a GGUF file of that model.
///
/// # Errors
/// If a model or adapter cannot be read or they do not match, the file exists already, or the disk
/// fails.
pub fn adapter_to_gguf(
    adapter: &Path,
    model: &Path,
    file: &Path,
) -> Result<GgufAdapterReport, OfflineError> {
    if file.exists() {
        return Err(OfflineError::NotEmpty(file.to_path_buf()));
    }
    let config = open_config(model).map_err(OfflineError::Model)?;
    let lora = PeftAdapter::open(adapter)
        .and_then(|peft| peft.lora(&config))
        .map_err(OfflineError::Adapter)?;
    export_gguf_adapter(file, &config, &lora).map_err(OfflineError::Work)?;
    Ok(GgufAdapterReport { file: file.to_path_buf(), adapted: lora.projections().len() })
}

/// Writes the PEFT folder `adapter` as another one, under the module names that `names` says.
///
/// # Errors
/// If the adapter cannot be read, the folder is not empty, or the disk fails.
pub fn adapter_with_names(
    adapter: &Path,
    folder: &Path,
    names: ModuleNames,
) -> Result<PeftFolderReport, OfflineError> {
    if std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()) {
        return Err(OfflineError::NotEmpty(folder.to_path_buf()));
    }
    let peft = PeftAdapter::open(adapter).map_err(OfflineError::Adapter)?;
    peft.export_as(folder, names).map_err(OfflineError::Work)?;
    Ok(PeftFolderReport { directory: folder.to_path_buf(), names })
}

/// A temporary folder for intermediate files; it is removed when it is dropped.
///
/// # Errors
/// If it cannot be created.
pub fn scratch_folder() -> Result<TempDir, ApiError> {
    tempfile::Builder::new().prefix("fedshield-").tempdir().map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("cannot make a temporary folder: {error}"))
            .with_hint("name a folder that you may write to in TMPDIR")
    })
}
