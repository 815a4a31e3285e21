//! Local training of one adapter, step by step. The trait [`LocalSteps`] covers where the processor
//! and other devices differ: on the processor, gradients and optimiser state are vectors, with the
//! same bits on every machine of one kind. On a device with memory of its own they stay there, and
//! a step uploads one buffer per batch and reads back only the loss and the norm of the gradient.

mod on_device;
mod on_host;
#[cfg(test)]
mod tests;

use super::optimizer::AdamWSettings;
use super::optimizer_state::OptimizerState;
use crate::Result;
use crate::federated::{GlobalAdapter, StepRates};
use crate::model::{Batch, Decoder, StageSeconds, is_host};

/// What is the same in all steps of a run.
#[derive(Clone, Copy, Debug)]
pub struct LocalSettings {
    /// The optimiser.
    pub optimizer: AdamWSettings,
    /// Bound on the Euclidean norm of the gradient of all factors that a step moves.
    pub max_gradient_norm: f64,
    /// mu: mu * (w - w at the start) is added to the gradient of w; 0 for none.
    pub proximal: f64,
}

/// What a step reports.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Mean loss over the labelled tokens, before the step.
    pub loss: f64,
    /// Euclidean norm of the whole gradient before clipping.
    pub gradient_norm: f64,
    /// Wall-clock seconds of each stage. On a device that computes asynchronously, this is the time
    /// of launching.
    pub seconds: StageSeconds,
}

/// Steps of an optimiser over the trained factors of an adapter.
pub trait LocalSteps {
    /// One step of the factors that `rates` moves, along the gradient of the mean loss over the
    /// labelled tokens of `batches` together.
    ///
    /// # Errors
    /// A sequence that does not fit the model, or a loss or gradient that is not finite; after an
    /// error the steps cannot be continued.
    fn step(&mut self, batches: &[Batch], rates: StepRates) -> Result<StepReport>;

    /// The current values of the trained factors, dense, in the layout's order.
    fn theta(&self) -> Vec<f32>;

    /// The current moments of the trained factors.
    fn optimizer_state(&self) -> OptimizerState;
}

/// Starts steps from `adapter` for the factors of its next round; the optimiser goes on from
/// `state`, and starts afresh for a factor of which it has no moments.
///
/// # Errors
/// A state for another number of values.
pub fn local_steps<'a>(
    decoder: &'a Decoder,
    adapter: &GlobalAdapter,
    settings: &LocalSettings,
    state: &OptimizerState,
) -> Result<Box<dyn LocalSteps + 'a>> {
    Ok(match is_host(&decoder.device) {
        true => Box::new(on_host::OnHost::new(decoder, adapter, settings, state)?),
        false => Box::new(on_device::OnDevice::new(decoder, adapter, settings, state)?),
    })
}
