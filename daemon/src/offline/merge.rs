//! Merging an adapter into its base model.

use std::path::{Path, PathBuf};

use fedshield_train::adapter::{Adapter, GgufType, PeftAdapter, export_gguf_model, export_model};
use fedshield_train::load::Precision;
use serde::Serialize;

use super::OfflineError;

/// The inputs and the output of a merge.
#[derive(Debug, Clone)]
pub struct MergeQuestion {
    /// PEFT folder.
    pub adapter: PathBuf,
    /// Hugging Face folder or GGUF file.
    pub model: PathBuf,
    /// Folder for the result, new or empty; or the GGUF file, which must not exist.
    pub out: PathBuf,
    /// The format of the result.
    pub form: MergedForm,
}

/// Format and type of a merged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergedForm {
    /// A Hugging Face folder.
    Folder(Precision),
    /// A GGUF file.
    Gguf(GgufType),
}

/// The result of a merge.
#[derive(Debug, Clone, Serialize)]
pub struct MergeReport {
    /// The folder; for a GGUF file the one that contains it.
    pub folder: PathBuf,
    /// The files that were written, by name.
    pub files: Vec<String>,
    /// How the matrices are stored.
    pub weights: &'static str,
    /// Number of weights that the adapter changed.
    pub adapted: usize,
    /// What users of the result should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Writes a model with W + alpha/rank B A in place of each adapted W.
///
/// # Errors
/// If a model or adapter cannot be read or they do not match, the folder or file exists already,
/// the format cannot represent the model, or the disk fails.
pub fn merge(question: &MergeQuestion) -> Result<MergeReport, OfflineError> {
    let out = &question.out;
    let taken = match question.form {
        MergedForm::Folder(_) => {
            std::fs::read_dir(out).is_ok_and(|mut files| files.next().is_some())
        }
        MergedForm::Gguf(_) => out.exists(),
    };
    if taken {
        return Err(OfflineError::NotEmpty(out.clone()));
    }
    let model = super::open_model(&question.model)?;
    let adapter = PeftAdapter::open(&question.adapter)
        .and_then(|peft| peft.lora(&model.config))
        .map_err(OfflineError::Adapter)?;
    let adapted = adapter.projections().len();
    match question.form {
        MergedForm::Folder(precision) => {
            export_model(out, &model, Some(&adapter), precision).map_err(OfflineError::Work)?;
            let (folder, weights) = (out.clone(), precision.torch_name());
            let warnings = Vec::new();
            Ok(MergeReport { folder, files: names(out), weights, adapted, warnings })
        }
        MergedForm::Gguf(kind) => {
            let written = export_gguf_model(out, &model, Some(&adapter), kind);
            let warnings = written.map_err(OfflineError::Work)?;
            let folder = out.parent().map(Path::to_path_buf).unwrap_or_default();
            let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (files, weights) = (vec![name], kind.name());
            Ok(MergeReport { folder, files, weights, adapted, warnings })
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
