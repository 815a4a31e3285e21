//! What one optimiser step takes on this machine: measured before anybody agrees to terms.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use fedshield_train::data::{DataSet, Example, TokenizedExample};
use fedshield_train::model::{BasePrecision, TokenSequence};
use fedshield_train::{
    AloneSettings, ComputeDevice, Progress, TrainError, TrainSettings, Trainer, Valid,
};
use serde::Serialize;

use super::OfflineError;
use crate::terms::Plan;

/// Longest sequence that is measured: the time of longer ones follows from it, nearly.
const MOST_TOKENS: usize = 256;
/// Steps that are measured, after one that warms up.
const STEPS: usize = 2;

/// What to measure.
#[derive(Debug, Clone)]
pub struct StepQuestion<'a> {
    /// Hugging Face folder or GGUF file.
    pub model: &'a Path,
    /// The learner's settings.
    pub plan: &'a Plan,
    /// Longest sequence of the terms, in tokens.
    pub sequence: usize,
    /// How the base model's matrices are held in memory.
    pub base_precision: BasePrecision,
    /// The device to compute on.
    pub device: ComputeDevice,
}

/// The measurement. A step with `n` examples of at most `t` tokens takes at most
/// `n * t * seconds_per_token` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepCost {
    /// Seconds of an optimiser step for each of its tokens, padding included.
    pub seconds_per_token: f64,
    /// Bytes of the base model's matrices in memory.
    pub base_bytes: u64,
    /// Bytes that a step takes for each of its tokens; `None` where the system does not tell.
    pub bytes_per_token: Option<f64>,
    /// Tokens of the step that was measured.
    pub tokens: usize,
}

/// Trains a throw-away adapter for a few steps of one example. What the example says does not
/// matter.
///
/// # Errors
/// A model that cannot be used, or terms that do not go with it.
pub fn measure_step(question: &StepQuestion<'_>) -> Result<StepCost, OfflineError> {
    let model = super::open_model(question.model)?;
    let vocabulary = model.config.vocab_size.max(1) as u32;
    let settings = TrainSettings {
        batch_size: 1,
        base_precision: question.base_precision,
        device: question.device,
        ..TrainSettings::default()
    };
    let settings = Valid::new(settings).map_err(OfflineError::Work)?;
    let trainer = Trainer::new(model, settings).map_err(OfflineError::Model)?;
    let tokens = question.sequence.clamp(2, MOST_TOKENS);
    let mut data = DataSet::default();
    data.train.push(example(tokens, vocabulary));
    let work = |error: TrainError| OfflineError::Work(error);
    let start = trainer
        .first_adapter(&question.plan.settings, [0; 32])
        .map_err(OfflineError::Work)?
        .plain();
    let steps = STEPS + 1;
    // The rate does not matter either, and a small one diverges with no model.
    let alone = AloneSettings { steps, checkpoint: steps, learning_rate: 1e-6 };
    let alone = Valid::new(alone).map_err(work)?;
    let before = memory::resident();
    let mut begun = Instant::now();
    let mut progress = |step: &Progress| {
        if step.step == 1 {
            begun = Instant::now();
        }
        ControlFlow::Continue(())
    };
    memory::forget_peak();
    let mut run = trainer.start_alone(&start, &alone, [0; 32], &data).map_err(work)?;
    run.advance(steps, &mut progress).map_err(work)?;
    let taken = memory::peak().zip(before).map(|(peak, before)| peak.saturating_sub(before));
    Ok(StepCost {
        seconds_per_token: begun.elapsed().as_secs_f64() / (STEPS * tokens) as f64,
        base_bytes: trainer.base_bytes() as u64,
        bytes_per_token: taken.map(|bytes| bytes as f64 / tokens as f64),
        tokens,
    })
}

/// Every token is learned, which no real example exceeds.
fn example(tokens: usize, vocabulary: u32) -> TokenizedExample {
    let ids = (0..tokens as u32).map(|place| place.wrapping_mul(7919) % vocabulary).collect();
    let sequence = TokenSequence { ids, labels: vec![true; tokens] };
    TokenizedExample::whole(Example::instruction("", "", ""), &sequence)
}

/// Memory of this process, as Linux tells it.
#[cfg(target_os = "linux")]
mod memory {
    /// Bytes in memory now.
    pub(super) fn resident() -> Option<u64> {
        field("VmRSS:")
    }

    /// Most bytes in memory since [`forget_peak`].
    pub(super) fn peak() -> Option<u64> {
        field("VmHWM:")
    }

    /// Begins to count the peak anew. Where that fails the peak is that of loading the model, and
    /// the estimate is too high.
    pub(super) fn forget_peak() {
        if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
            tracing::debug!(%error, "the peak of the memory cannot be reset");
        }
    }

    fn field(name: &str) -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024)
    }
}

#[cfg(not(target_os = "linux"))]
mod memory {
    pub(super) fn resident() -> Option<u64> {
        None
    }

    pub(super) fn peak() -> Option<u64> {
        None
    }

    pub(super) fn forget_peak() {}
}
