//! Exporting an adapter to a folder that the operator chose: the files written, and the error if it
//! could not be written. Used with and without a daemon.

use std::path::Path;

use fedshield_train::TrainError;

use crate::control::api::{ApiError, ErrorCode};

/// The error for an adapter that could not be written to the chosen folder.
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

/// The paths of the files of an exported adapter, in a fixed order; other files in the folder are
/// not listed.
pub(crate) fn adapter_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let is_adapter = |path: &std::path::PathBuf| {
        path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("adapter_"))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_adapter).collect();
    files.sort();
    files
}
