//! Errors of this crate, always with the file and the tensor, line or step concerned.

use std::path::{Path, PathBuf};

use crate::data::Unit;

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, TrainError>;

/// Errors of loading, training, applying and exporting.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A configuration or format header could not be understood.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The field, and what is wrong with it.
        reason: String,
    },
    /// A tensor is missing, has the wrong shape, or an unsupported type.
    #[error("{}: tensor {name}: {reason}", path.display())]
    Tensor {
        /// The file or folder that should hold it.
        path: PathBuf,
        /// Its name in the Hugging Face layout.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A record of a data set could not be used.
    #[error("{}{}: {reason}", path.display(), unit.at(*line))]
    Data {
        /// The data file.
        path: PathBuf,
        /// Number of the line, item or row, counted from 1; 0 when the whole file is meant.
        line: usize,
        /// Whether records are lines, items or rows.
        unit: Unit,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer refused a text or could not be built.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A chat template could not be rendered.
    #[error("template {name}: {reason}")]
    Template {
        /// The template's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting has an invalid value.
    #[error("setting {name}: {reason}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The accepted values, or why this one is not accepted.
        reason: String,
    },
    /// The loss or a gradient was NaN or infinite; there is no result.
    #[error("step {step}: {what} is not a finite number; the round produces no update")]
    NotFinite {
        /// The optimiser step, counted from 0.
        step: usize,
        /// "loss", "gradient norm" or "update".
        what: &'static str,
    },
    /// The progress callback cancelled the round; there is no result.
    #[error("training was cancelled after {step} steps")]
    Cancelled {
        /// Number of steps finished.
        step: usize,
    },
    /// Two inputs that must describe the same adapter do not.
    #[error("adapter: {0}")]
    Adapter(String),
    /// Canonical bytes could not be decoded.
    #[error("decoding {what}: {reason}")]
    Decode {
        /// What was being decoded.
        what: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The opened sum of a round failed the deterministic range check.
    #[error("opened sum rejected: {0}")]
    Rejected(#[from] crate::federated::Rejection),
    /// The compute device is not available.
    #[error("device {name}: {reason}")]
    Device {
        /// The requested device.
        name: String,
        /// Why it cannot be used.
        reason: String,
    },
}

impl TrainError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn tensor(path: &Path, name: &str, reason: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_owned(), name: name.to_owned(), reason: reason.into() }
    }

    pub(crate) fn data(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self::Data { path: path.to_owned(), line, unit: Unit::Line, reason: reason.into() }
    }

    /// The same error for a file whose records are counted in this unit.
    pub(crate) fn counted_in(self, counted: Unit) -> Self {
        match self {
            Self::Data { path, line, reason, .. } => {
                Self::Data { path, line, unit: counted, reason }
            }
            other => other,
        }
    }

    pub(crate) fn setting(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Setting { name, reason: reason.into() }
    }
}
