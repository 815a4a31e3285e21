//! Federated LoRA fine-tuning with Burn: models, data, training, pruning, apply, adapters.
//!
//! This crate contains no encryption, consensus or networking: it turns data and the global adapter
//! into an update, and an opened sum into the next global adapter.
//!
//! Indexing is allowed here: in kernels and codecs the bounds are checked nearby, and values from
//! files are checked before they are used as an index.
#![warn(unreachable_pub)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod adapter;
pub mod data;
mod error;
pub mod federated;
pub mod load;
mod memory;
pub mod model;
mod random;
pub mod text;
mod train;
mod valid;

pub use error::{Result, TrainError};
pub use memory::{Allocator, reuse_freed_memory};
pub use train::{
    AdamW, AdamWSettings, AloneRun, AloneSettings, Answer, AnswerEnd, AnswerScore, ComputeDevice,
    Evaluation, ExampleLoss, Found, Generation, LocalSettings, LocalSteps, Moments, OnCheckpoint,
    OnProgress, OptimizerState, PairedDifference, Progress, RoundResult, RoundStats, RoundTask,
    Sampling, Search, ShortAnswers, StepGradient, StepReport, Stepwise, TrainSettings, Trainer,
    adapter_gradient, adapter_logits, answer_device_probe, clip_global_norm, local_steps,
    mean_loss,
};
pub use valid::{Valid, Validate};

#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub use train::count_launches;

/// The CPU device (burn-flex). `RAYON_NUM_THREADS` sets the number of threads.
pub fn cpu() -> burn_tensor::Device {
    burn_tensor::Device::flex()
}
