//! The trainer: one base model, one member's settings, rounds of local training.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::device::ComputeDevice;
use super::optimizer::AdamWSettings;
use super::optimizer_state::OptimizerState;
use super::progress::{OnProgress, RoundStats};
use super::run::{Run, RunStart};
use crate::data::DataSet;
use crate::federated::{AdapterLayout, FederatedSettings, GlobalAdapter, LocalOptimizer};
use crate::load::LoadedModel;
use crate::model::{BasePrecision, ComputePrecision, Decoder, ModelConfig};
use crate::text::TextTokenizer;
use crate::valid::positive;
use crate::{Result, TrainError, Valid, Validate};

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

impl Validate for TrainSettings {
    type Error = TrainError;

    fn validate(&self) -> Result<()> {
        let counts = [("batch_size", self.batch_size), ("accumulation", self.accumulation)];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(TrainError::setting(name, "must be at least 1"));
        }
        positive("max_gradient_norm", self.max_gradient_norm)?;
        self.optimizer.validate()
    }
}

/// A base model on a device, ready to train adapters. It keeps no state between rounds.
pub struct Trainer {
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) settings: Valid<TrainSettings>,
    base_digest: [u8; 32],
}

/// The inputs of a round of local training beside the examples.
#[derive(Clone, Copy)]
pub struct RoundTask<'a> {
    /// The common adapter that the round starts from.
    pub global: &'a GlobalAdapter,
    /// What the members agree on.
    pub settings: &'a Valid<FederatedSettings>,
    /// The optimiser's state of earlier rounds; not used unless it is kept.
    pub optimizer: &'a OptimizerState,
    /// Determines the order of the examples; it should differ between rounds and members.
    pub seed: [u8; 32],
}

/// Result of a round of local training.
#[derive(Clone)]
pub struct RoundResult {
    /// The trained factors after training, dense, in the layout's order.
    pub theta: Vec<f32>,
    /// The optimiser's state of the trained factors after training; empty unless it is kept.
    pub optimizer: OptimizerState,
    /// Measurements of the round.
    pub stats: RoundStats,
}

impl Trainer {
    /// Opens a Hugging Face folder or GGUF file and loads the model to the device.
    pub fn open(model: &Path, settings: Valid<TrainSettings>) -> Result<Self> {
        Self::new(LoadedModel::open(model)?, settings)
    }

    /// Loads an opened model to the device.
    pub fn new(model: LoadedModel, settings: Valid<TrainSettings>) -> Result<Self> {
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
        settings: &Valid<FederatedSettings>,
        seed: [u8; 32],
    ) -> Result<GlobalAdapter> {
        let layout = AdapterLayout::new(self.config(), &settings.adapter)?;
        Ok(GlobalAdapter::new(layout, settings, seed))
    }

    /// Trains the factors of round `global.applied()` on `data`, starting from the global adapter
    /// with a fresh optimiser; see [`Self::train`] for one that is kept.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, a cancelled round, or an empty data set; then there
    /// is no result.
    pub fn train_round(
        &self,
        global: &GlobalAdapter,
        settings: &Valid<FederatedSettings>,
        seed: [u8; 32],
        data: &DataSet,
        progress: OnProgress<'_>,
    ) -> Result<RoundResult> {
        let optimizer = &OptimizerState::default();
        self.train(&RoundTask { global, settings, optimizer, seed }, data, progress)
    }

    /// Trains the factors of the next round of `task.global` on `data`. The same inputs give the
    /// same result on one machine.
    ///
    /// # Errors
    /// Those of [`Self::train_round`], and an optimiser's state for another model.
    pub fn train(
        &self,
        task: &RoundTask<'_>,
        data: &DataSet,
        progress: OnProgress<'_>,
    ) -> Result<RoundResult> {
        let RoundTask { global, settings, optimizer, seed } = *task;
        let keeps_state = settings.local_optimizer == LocalOptimizer::Kept;
        let fresh = OptimizerState::default();
        let state = if keeps_state { optimizer } else { &fresh };
        let (proximal, steps) = (settings.proximal, settings.steps);
        let start = RunStart { adapter: global, proximal, state, seed, steps };
        let mut run = Run::new(self, &start, data)?;
        let applied = global.applied();
        run.steps(steps, &|step| settings.step_rates(applied, step), progress)?;
        run.finish(keeps_state)
    }

    pub(crate) fn check_layout(&self, layout: &AdapterLayout) -> Result<()> {
        match *layout == AdapterLayout::new(self.config(), &layout.spec())? {
            true => Ok(()),
            false => Err(TrainError::Adapter("it was made for another base model".to_owned())),
        }
    }
}
