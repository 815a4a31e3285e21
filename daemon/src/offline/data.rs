//! Checking data as a round would use it.

use std::path::PathBuf;

use fedshield_train::Valid;
use fedshield_train::data::{DataReport, DataSettings, OnCheck, Part, Reading};
use fedshield_train::load::open_tokenizer;

use super::{OfflineError, RenderingChoice, rendering};

/// The files, and how a round would read them.
#[derive(Debug, Clone)]
pub struct DataQuestion {
    /// Hugging Face folder or GGUF file; only its tokenizer and template are used.
    pub model: PathBuf,
    /// Files to train on.
    pub train: Vec<PathBuf>,
    /// Held-out files; if empty, `held_out_fraction` of the training examples is held out.
    pub held_out: Vec<PathBuf>,
    /// The fraction that is held out if there are no held-out files.
    pub held_out_fraction: f64,
    /// Test files; if empty, `test_fraction` of the training examples is kept for the test.
    pub test: Vec<PathBuf>,
    /// The fraction if there are no test files; 0 for no test part.
    pub test_fraction: f64,
    /// How examples are rendered.
    pub rendering: RenderingChoice,
    /// Longest sequence in tokens.
    pub max_length: usize,
    /// How records are read.
    pub reading: Reading,
    /// Whether to show one example; otherwise the report repeats no content of the files.
    pub example: bool,
}

impl DataQuestion {
    /// All files with what they are for.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Part)> {
        let parts =
            [(&self.train, Part::Train), (&self.held_out, Part::HeldOut), (&self.test, Part::Test)];
        let of = |(files, part): (&Vec<PathBuf>, Part)| {
            files.iter().map(|file| (file.clone(), part)).collect::<Vec<_>>()
        };
        parts.into_iter().flat_map(of).collect()
    }
}

/// Describes the files; see [`DataReport`]. `on_progress` is called from time to time.
///
/// # Errors
/// A model or file that cannot be opened. Lines that cannot be used are in the report.
pub fn check_data(
    question: &DataQuestion,
    on_progress: OnCheck<'_>,
) -> Result<DataReport, OfflineError> {
    let mut tokenizer = open_tokenizer(&question.model).map_err(OfflineError::Model)?;
    let settings = Valid::new(DataSettings {
        template: rendering(&question.rendering, None, &mut tokenizer)?,
        max_length: question.max_length,
        held_out: question.held_out_fraction,
        test: question.test_fraction,
        reading: question.reading.clone(),
        ..DataSettings::default()
    })
    .map_err(OfflineError::Data)?;
    let mut report =
        DataReport::check_watched(&question.files(), &tokenizer, &settings, on_progress)
            .map_err(OfflineError::Data)?;
    report.rendered = report.rendered.filter(|_| question.example);
    Ok(report)
}
