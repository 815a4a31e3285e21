//! Local training of one adapter, step by step. Where the processor and other devices differ in it
//! is the trait [`LocalSteps`]: on the processor gradients and optimiser are vectors, with the same
//! bits on every machine of one kind; on a device with memory of its own they stay there, and a
//! step sends one buffer for each batch and reads back the loss and the gradient's norm.

mod on_device;
mod on_host;
#[cfg(test)]
mod tests;

use super::optimizer::AdamWSettings;
use crate::Result;
use crate::federated::GlobalAdapter;
use crate::model::{Batch, Decoder, StageSeconds, is_host};

/// What a step reports.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Mean loss over the labelled tokens, before the step.
    pub loss: f64,
    /// Euclidean norm of the whole gradient, before it was clipped.
    pub gradient_norm: f64,
    /// Where the time went. A device computes behind the caller's back: then this is the time of
    /// launching.
    pub seconds: StageSeconds,
}

/// Steps of an optimiser over the trained factors of an adapter.
pub trait LocalSteps {
    /// One step along the gradient of the mean loss over the labelled tokens of `batches` together.
    ///
    /// # Errors
    /// A sequence that does not fit the model, or a loss or gradient that is not finite: then
    /// nothing more can be done with these steps.
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepReport>;

    /// The trained factors as they are now, dense, in the layout's order.
    fn theta(&self) -> Vec<f32>;
}

/// Steps from `adapter`, for the factors of its next round, with a fresh optimiser and a gradient
/// whose norm is bounded by `max_gradient_norm`.
pub fn local_steps<'a>(
    decoder: &'a Decoder,
    adapter: &GlobalAdapter,
    optimizer: AdamWSettings,
    max_gradient_norm: f64,
) -> Box<dyn LocalSteps + 'a> {
    match is_host(&decoder.device) {
        true => Box::new(on_host::OnHost::new(decoder, adapter, optimizer, max_gradient_norm)),
        false => Box::new(on_device::OnDevice::new(decoder, adapter, optimizer, max_gradient_norm)),
    }
}
