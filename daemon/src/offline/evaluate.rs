//! The quality of adapters on given examples: loss, exact answers, and sample answers.

use std::path::PathBuf;

use fedshield_train::adapter::{Adapter, LoraAdapter, PeftAdapter};
use fedshield_train::data::{DataSet, DataSettings, Role, TokenizedExample};
use fedshield_train::model::BasePrecision;
use fedshield_train::text::Template;
use fedshield_train::{
    AnswerScore, ComputeDevice, ExampleLoss, PairedDifference, Sampling, ShortAnswers, TrainError,
    TrainSettings, Trainer, Valid, mean_loss,
};
use serde::Serialize;

use super::{OfflineError, RenderingChoice, rendering};

/// What to measure.
#[derive(Debug, Clone)]
pub struct EvaluateQuestion {
    /// PEFT folders, at least one.
    pub adapters: Vec<PathBuf>,
    /// Hugging Face folder or GGUF file.
    pub model: PathBuf,
    /// Data files in any supported format; every example in them is evaluated.
    pub data: Vec<PathBuf>,
    /// How examples are rendered.
    pub rendering: RenderingChoice,
    /// Longest sequence in tokens.
    pub max_length: usize,
    /// Sequences per batch.
    pub batch_size: usize,
    /// How the base model's matrices are held in memory.
    pub base_precision: BasePrecision,
    /// The device to compute on.
    pub device: ComputeDevice,
    /// Longest answer that counts as short, in tokens.
    pub short_tokens: usize,
    /// Maximum number of short answers that are generated and compared.
    pub exact: usize,
    /// Number of sample answers.
    pub samples: usize,
    /// How they are sampled.
    pub sampling: Sampling,
}

/// The measurements.
#[derive(Debug, Clone, Serialize)]
pub struct EvaluateReport {
    /// Number of examples.
    pub examples: usize,
    /// Response tokens that the mean losses are taken over.
    pub tokens: usize,
    /// Number of examples that were truncated to the longest sequence.
    pub truncated: usize,
    /// Bytes of the base model's matrices in memory.
    pub base_bytes: usize,
    /// The base model alone.
    pub base: Score,
    /// The base model with each adapter, in the order of the question.
    pub adapters: Vec<AdapterScore>,
    /// Sample answers.
    pub samples: Vec<SampleAnswers>,
}

/// One adapter.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterScore {
    /// Its folder.
    pub adapter: PathBuf,
    /// Its score.
    #[serde(flatten)]
    pub score: Score,
    /// Loss of the base model minus its loss; `None` with fewer than two examples.
    pub against_base: Option<PairedDifference>,
    /// Loss of the first adapter minus its loss.
    pub against_first: Option<PairedDifference>,
}

/// The score of one model.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Score {
    /// Mean loss on the response tokens, nats per token.
    pub loss: f64,
    /// exp(loss).
    pub perplexity: f64,
    /// Short answers; `None` if there are none.
    pub exact: Option<AnswerScore>,
}

/// One question and its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleAnswers {
    /// The last question of the user.
    pub question: String,
    /// The answer in the data.
    pub reference: String,
    /// The base model's answer.
    pub base: String,
    /// The answers with each adapter.
    pub adapted: Vec<String>,
}

/// Measures adapters on every example of the files. How examples are rendered goes by the first of
/// them.
///
/// # Errors
/// A model, adapter or line that cannot be used; a loss that is not a finite number.
pub fn evaluate(question: &EvaluateQuestion) -> Result<EvaluateReport, OfflineError> {
    let mut model = super::open_model(&question.model)?;
    let folder = question.adapters.first().map(PathBuf::as_path);
    let template = rendering(&question.rendering, folder, &mut model.tokenizer)?;
    let open = |folder: &PathBuf| {
        PeftAdapter::open(folder)
            .and_then(|peft| peft.lora(&model.config))
            .map_err(OfflineError::Adapter)
    };
    let adapters = question.adapters.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let settings = Valid::new(DataSettings {
        template,
        max_length: question.max_length,
        held_out: 0.0,
        ..DataSettings::default()
    })
    .map_err(OfflineError::Data)?;
    let data =
        DataSet::load(&question.data, &model.tokenizer, &settings).map_err(OfflineError::Data)?;
    let train = Valid::new(TrainSettings {
        batch_size: question.batch_size,
        base_precision: question.base_precision,
        device: question.device,
        ..TrainSettings::default()
    })
    .map_err(OfflineError::Work)?;
    let trainer = Trainer::new(model, train).map_err(OfflineError::Model)?;
    let work = Work { question, template, trainer, examples: &data.train };
    let score = |adapter: Option<&LoraAdapter>| work.score(adapter).map_err(OfflineError::Work);
    let (base, of_base) = score(None)?;
    let adapted = adapters.iter().map(|adapter| score(Some(adapter)));
    let adapted = adapted.collect::<Result<Vec<_>, _>>()?;
    let scores = question.adapters.iter().zip(&adapted).enumerate();
    let scores = scores.map(|(index, (adapter, (score, losses)))| AdapterScore {
        adapter: adapter.clone(),
        score: *score,
        against_base: PairedDifference::of(&of_base, losses),
        against_first: match adapted.first() {
            Some((_, first)) if index > 0 => PairedDifference::of(first, losses),
            _ => None,
        },
    });
    let scores = scores.collect();
    Ok(EvaluateReport {
        examples: data.train.len(),
        tokens: of_base.iter().map(|loss| loss.tokens).sum(),
        truncated: data.truncated,
        base_bytes: work.trainer.base_bytes(),
        base,
        adapters: scores,
        samples: work.samples(&adapters).map_err(OfflineError::Work)?,
    })
}

struct Work<'a> {
    question: &'a EvaluateQuestion,
    template: Template,
    trainer: Trainer,
    examples: &'a [TokenizedExample],
}

impl Work<'_> {
    fn score(
        &self,
        adapter: Option<&LoraAdapter>,
    ) -> Result<(Score, Vec<ExampleLoss>), TrainError> {
        let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
        let losses = self.trainer.evaluate_each(adapter, self.examples)?;
        let loss = mean_loss(&losses);
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { step: 0, what: "loss" });
        }
        let wanted = ShortAnswers { tokens: self.question.short_tokens, most: self.question.exact };
        let trainer = &self.trainer;
        let exact =
            trainer.score_answers(adapter, self.template, self.examples, wanted, &|| false)?;
        Ok((Score { loss, perplexity: loss.exp(), exact }, losses))
    }

    fn samples(&self, adapters: &[LoraAdapter]) -> Result<Vec<SampleAnswers>, TrainError> {
        let mut samples = Vec::new();
        for example in self.examples.iter().take(self.question.samples) {
            let shown = example.shown()?;
            let turns = shown.turns();
            let asked = turns.iter().rev().find(|turn| turn.role == Role::User);
            let answer = |adapter: Option<&dyn Adapter>| {
                let sampling = &self.question.sampling;
                self.trainer.answer(adapter, self.template, &shown, sampling)
            };
            samples.push(SampleAnswers {
                question: asked.map(|turn| turn.said().to_owned()).unwrap_or_default(),
                reference: shown.answer().to_owned(),
                base: answer(None)?,
                adapted: adapters
                    .iter()
                    .map(|adapter| answer(Some(adapter)))
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(samples)
    }
}
