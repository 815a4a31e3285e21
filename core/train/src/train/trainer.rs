//! The trainer: one base model, one member's settings, rounds of local training.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::device::ComputeDevice;
use super::optimizer::AdamWSettings;
use super::progress::{OnProgress, Progress, RoundStats};
use super::steps::{StepReport, local_steps};
use crate::data::{DataSet, Order, TokenizedExample};
use crate::federated::{AdapterLayout, FederatedSettings, GlobalAdapter};
use crate::load::LoadedModel;
use crate::memory::LargeWork;
use crate::model::{
    BasePrecision, Batch, ComputePrecision, Decoder, ModelConfig, StageSeconds, TokenSequence,
};
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

/// Training settings of one member. They may differ between members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Sequences computed at a time.
    pub batch_size: usize,
    /// Whether short examples of a batch are packed into one row, for less padding; the loss is the
    /// same.
    pub packing: bool,
    /// Batches accumulated before one optimiser step.
    pub accumulation: usize,
    /// The optimiser.
    pub optimizer: AdamWSettings,
    /// Bound on the Euclidean norm of the whole gradient.
    pub max_gradient_norm: f64,
    /// The compute device.
    pub device: ComputeDevice,
    /// Gradient checkpointing: keep only each layer's input between forward and backward pass and
    /// recompute the rest. A step takes about a third longer; for the memory see
    /// `docs/benchmarks/training`. The gradients are bit-identical.
    pub gradient_checkpointing: bool,
    /// Precision in which the frozen matrices are held in memory.
    pub base_precision: BasePrecision,
    /// Minimum precision of matrix products.
    pub compute_precision: ComputePrecision,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            batch_size: 8,
            packing: false,
            accumulation: 1,
            optimizer: AdamWSettings::default(),
            max_gradient_norm: 1.0,
            device: ComputeDevice::default(),
            gradient_checkpointing: false,
            base_precision: BasePrecision::default(),
            compute_precision: ComputePrecision::default(),
        }
    }
}

/// A base model on a device, ready to train adapters. It keeps no state between rounds.
pub struct Trainer {
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) settings: TrainSettings,
    base_digest: [u8; 32],
}

/// Result of a round of local training.
#[derive(Clone)]
pub struct RoundResult {
    /// The trained factors after training, dense, in the layout's order.
    pub theta: Vec<f32>,
    /// Measurements of the round.
    pub stats: RoundStats,
}

impl Trainer {
    /// Opens a Hugging Face folder or GGUF file and loads the model to the device.
    pub fn open(model: &Path, settings: TrainSettings) -> Result<Self> {
        Self::new(LoadedModel::open(model)?, settings)
    }

    /// Loads an opened model to the device.
    pub fn new(model: LoadedModel, settings: TrainSettings) -> Result<Self> {
        if settings.batch_size == 0 || settings.accumulation == 0 {
            return Err(TrainError::setting(
                "batch_size",
                "batch_size and accumulation start at 1",
            ));
        }
        let device = settings.device.open()?;
        let mut decoder = model.decoder(&device, settings.base_precision)?;
        decoder.checkpoint_layers(settings.gradient_checkpointing);
        decoder.compute_in(settings.compute_precision);
        Ok(Self { decoder, tokenizer: model.tokenizer, settings, base_digest: model.digest })
    }

    /// Shape of the base model.
    pub fn config(&self) -> &ModelConfig {
        &self.decoder.config
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// Size in bytes of the base model's matrices in memory.
    pub fn base_bytes(&self) -> usize {
        self.decoder.base_bytes()
    }

    /// The digest that identifies the base model.
    pub fn base_digest(&self) -> [u8; 32] {
        self.base_digest
    }

    /// The adapter before the first round; see [`GlobalAdapter::new`].
    pub fn first_adapter(
        &self,
        settings: &FederatedSettings,
        seed: [u8; 32],
    ) -> Result<GlobalAdapter> {
        settings.check()?;
        let layout = AdapterLayout::new(self.config(), &settings.adapter)?;
        Ok(GlobalAdapter::new(layout, settings, seed))
    }

    /// Trains the factors of round `global.applied()` on `data`, starting from the global adapter,
    /// with a fresh optimiser. `seed` determines the order of the examples and should differ
    /// between rounds and members. The same inputs give the same result on one machine.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, a cancelled round, or an empty data set; then there
    /// is no result.
    pub fn train_round(
        &self,
        global: &GlobalAdapter,
        settings: &FederatedSettings,
        seed: [u8; 32],
        data: &DataSet,
        progress: OnProgress<'_>,
    ) -> Result<RoundResult> {
        let _work = LargeWork;
        self.check_layout(global.layout())?;
        if data.train.is_empty() {
            return Err(TrainError::setting("data", "no example to train on"));
        }
        let learning_rate = settings.learning_rate.at(global.applied());
        let (optimizer, bound) = (self.settings.optimizer, self.settings.max_gradient_norm);
        let mut training = local_steps(&self.decoder, global, optimizer, bound);
        let mut order = Order::new(data.train.len(), seed);
        let mut stats = RoundStats::new(settings.steps);
        let begin = Instant::now();
        for step in 0..settings.steps {
            let step_begin = Instant::now();
            let micro_batches = self.micro_batches(&mut order, &data.train)?;
            let StepReport { loss, gradient_norm, seconds } =
                training.step(&micro_batches, learning_rate)?;
            stats.stages += seconds;
            let tokens: usize = micro_batches.iter().map(Batch::token_count).sum();
            stats.losses.push(loss);
            stats.tokens += tokens;
            stats.labelled_tokens += micro_batches.iter().map(Batch::label_count).sum::<usize>();
            let report = Progress {
                step: step + 1,
                steps: settings.steps,
                loss,
                gradient_norm,
                tokens_per_second: tokens as f64 / step_begin.elapsed().as_secs_f64().max(1e-9),
            };
            if let ControlFlow::Break(()) = progress(&report) {
                return Err(TrainError::Cancelled { step: step + 1 });
            }
        }
        let theta = training.theta();
        if theta.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::NotFinite { step: settings.steps, what: "update" });
        }
        stats.seconds = begin.elapsed().as_secs_f64();
        Ok(RoundResult { theta, stats })
    }

    pub(crate) fn check_layout(&self, layout: &AdapterLayout) -> Result<()> {
        match *layout == AdapterLayout::new(self.config(), &layout.spec())? {
            true => Ok(()),
            false => Err(TrainError::Adapter("it was made for another base model".to_owned())),
        }
    }

    fn micro_batches(&self, order: &mut Order, train: &[TokenizedExample]) -> Result<Vec<Batch>> {
        (0..self.settings.accumulation)
            .map(|_| {
                let picked = order.take(self.settings.batch_size);
                let sequences: Vec<TokenSequence> =
                    picked.iter().map(|index| train[*index].sequence()).collect::<Result<_>>()?;
                let sequences: Vec<&TokenSequence> = sequences.iter().collect();
                match self.settings.packing {
                    true => Batch::packed(&sequences),
                    false => Batch::new(&sequences),
                }
            })
            .collect()
    }
}

impl RoundStats {
    fn new(steps: usize) -> Self {
        Self {
            steps,
            losses: Vec::new(),
            tokens: 0,
            labelled_tokens: 0,
            seconds: 0.0,
            stages: StageSeconds::default(),
        }
    }
}
