//! Operations without a running daemon: reading a home, checking data, measuring adapters, chatting
//! with them, converting them to other formats.

mod chat;
mod data;
mod evaluate;
mod export;
mod home;
mod merge;
mod recorded;
mod targets;

use std::path::PathBuf;

use fedshield_train::TrainError;
use fedshield_train::load::LoadedModel;
use fedshield_train::text::{Template, TextTokenizer};

pub use chat::{Chat, ChatQuestion, Speaker, Spoken};
pub use data::{DataQuestion, check_data};
pub use evaluate::{AnswerScore, EvaluateQuestion, EvaluateReport, SampleAnswers, Score, evaluate};
pub use export::{GgufAdapterReport, adapter_to_gguf, scratch_folder};
pub use fedshield_train::adapter::{GgufType, PeftAdapter};
pub use fedshield_train::data::{
    CheckProgress, DataReport, FieldMap, FileSummary, Histogram, LengthSummary, OnBadLine, Place,
    Problem, Reading, Rendered, Repeat, Unit,
};
pub use fedshield_train::federated::AdapterSpec;
pub use fedshield_train::load::Precision;
pub use fedshield_train::{Answer, AnswerEnd, Sampling};
pub use home::OfflineHome;
pub use merge::{MergeQuestion, MergeReport, MergedForm, merge};
pub use recorded::check_recorded;
pub use targets::{TargetModules, target_modules};

use crate::error_code::ErrorCode;

/// Opens a model, and prints its warnings on standard error.
fn open_model(path: &std::path::Path) -> Result<LoadedModel, OfflineError> {
    let model = LoadedModel::open(path).map_err(OfflineError::Model)?;
    model.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    Ok(model)
}

/// Why an operation failed. Messages name the file and the tensor or line.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The base model cannot be used.
    #[error("base model: {0}")]
    Model(#[source] TrainError),
    /// The adapter's folder cannot be used.
    #[error("adapter: {0}")]
    Adapter(#[source] TrainError),
    /// The data files cannot be used.
    #[error("data: {0}")]
    Data(#[source] TrainError),
    /// There is no template of this name.
    #[error("{0}")]
    Template(#[source] TrainError),
    /// Computing, or writing the result, failed.
    #[error("{0}")]
    Work(#[source] TrainError),
    /// The folder for the result is not empty, or the file exists already.
    #[error("{} is there already: name a new folder or file", .0.display())]
    NotEmpty(PathBuf),
}

impl OfflineError {
    /// The stable code that the command line turns into an exit code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Model(_) | Self::Adapter(_) => ErrorCode::ModelUnreadable,
            Self::Data(_) => ErrorCode::DataUnreadable,
            Self::Work(TrainError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull =>
            {
                ErrorCode::DiskFull
            }
            Self::Template(_) | Self::NotEmpty(_) => ErrorCode::InvalidRequest,
            Self::Work(_) => ErrorCode::Internal,
        }
    }
}

/// The template of this name; without a name the model's own, or the plainest if it has none.
fn template(name: Option<&str>, tokenizer: &TextTokenizer) -> Result<Template, OfflineError> {
    let named = name.map_or(Ok(Template::Model), Template::parse);
    Ok(named.map_err(OfflineError::Template)?.or_plain(tokenizer))
}
