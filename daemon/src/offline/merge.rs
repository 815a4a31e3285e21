//! An adapter and its base as one model.

use std::path::{Path, PathBuf};

use fedshield_train::adapter::{PeftAdapter, export_model};
use fedshield_train::load::Precision;
use serde::Serialize;

use super::OfflineError;

/// What to merge, and where to.
#[derive(Debug, Clone)]
pub struct MergeQuestion {
    /// PEFT folder.
    pub adapter: PathBuf,
    /// Hugging Face folder or GGUF file.
    pub model: PathBuf,
    /// Folder for the result; new or empty.
    pub out: PathBuf,
    /// How its weights are stored.
    pub precision: Precision,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct MergeReport {
    /// The folder.
    pub folder: PathBuf,
    /// The files in it, by name.
    pub files: Vec<String>,
    /// How the weights are stored.
    pub precision: Precision,
    /// Weights that the adapter changed.
    pub adapted: usize,
}

/// Writes a Hugging Face folder with W + alpha/rank B A in place of each adapted W.
///
/// # Errors
/// A model or adapter that cannot be read or do not fit each other; a folder that holds files; the disk.
pub fn merge(question: &MergeQuestion) -> Result<MergeReport, OfflineError> {
    if std::fs::read_dir(&question.out).is_ok_and(|mut files| files.next().is_some()) {
        return Err(OfflineError::NotEmpty(question.out.clone()));
    }
    let model = super::open_model(&question.model)?;
    let adapter = PeftAdapter::open(&question.adapter)
        .and_then(|peft| peft.global(&model.config, &super::plain_settings(&peft)))
        .map_err(OfflineError::Adapter)?;
    export_model(&question.out, &model, Some(&adapter), question.precision)
        .map_err(OfflineError::Work)?;
    Ok(MergeReport {
        folder: question.out.clone(),
        files: names(&question.out),
        precision: question.precision,
        adapted: adapter.layout().modules().len(),
    })
}

fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
