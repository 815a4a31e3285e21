//! Operations without a running daemon: reading a home, checking data, measuring adapters, chatting
//! with them, converting them to other formats.

mod chat;
mod data;
mod evaluate;
mod export;
mod home;
mod merge;
mod recorded;
mod step;
mod targets;

use std::path::{Path, PathBuf};

use fedshield_train::TrainError;
use fedshield_train::adapter::AdapterRendering;
use fedshield_train::load::LoadedModel;
use fedshield_train::text::{Template, TextTokenizer};

pub use chat::{Chat, ChatQuestion, Speaker, Spoken};
pub use data::{DataQuestion, check_data};
pub use evaluate::{
    AdapterScore, EvaluateQuestion, EvaluateReport, SampleAnswers, Score, evaluate,
};
pub use export::{
    GgufAdapterReport, PeftFolderReport, adapter_to_gguf, adapter_with_names, scratch_folder,
};
pub use fedshield_train::adapter::{GgufType, ModuleNames, PeftAdapter};
pub use fedshield_train::data::{
    CheckProgress, DataReport, FieldMap, FileSummary, Histogram, LengthSummary, OnBadLine, Part,
    Place, Problem, Reading, Rendered, Repeat, Unit,
};
pub use fedshield_train::federated::AdapterSpec;
pub use fedshield_train::load::Precision;
pub use fedshield_train::text::TemplateDate;
pub use fedshield_train::{Answer, AnswerEnd, AnswerScore, PairedDifference, Sampling};
pub use home::OfflineHome;
pub use merge::{MergeQuestion, MergeReport, MergedForm, merge};
pub use recorded::check_recorded;
pub use step::{StepCost, StepQuestion, measure_step};
pub use targets::{TargetModules, target_modules};

use crate::error_code::ErrorCode;

/// Opens a model, and prints its warnings on standard error.
fn open_model(path: &Path) -> Result<LoadedModel, OfflineError> {
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

/// What a question says about rendering. What it leaves open is as the adapter was trained.
#[derive(Debug, Clone, Default)]
pub struct RenderingChoice {
    /// Template name.
    pub template: Option<String>,
    /// The date that chat templates write as the current one.
    pub template_date: Option<TemplateDate>,
}

/// The template to use, and sets the date that it writes: as chosen, else as recorded in the
/// adapter's folder, else the model's own template, or the plainest if it has none.
fn rendering(
    choice: &RenderingChoice,
    adapter: Option<&Path>,
    tokenizer: &mut TextTokenizer,
) -> Result<Template, OfflineError> {
    let recorded = match adapter {
        Some(folder) => AdapterRendering::read(folder).map_err(OfflineError::Adapter)?,
        None => None,
    };
    let date = choice.template_date.or(recorded.map(|recorded| recorded.date));
    tokenizer.template_date = date.unwrap_or_default();
    let named = choice.template.as_deref().map(Template::parse).transpose();
    let named = named.map_err(OfflineError::Template)?;
    let template = named.or(recorded.map(|recorded| recorded.template)).unwrap_or(Template::Model);
    Ok(template.or_plain(tokenizer))
}
