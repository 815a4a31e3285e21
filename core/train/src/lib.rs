//! Federated LoRA fine-tuning with Burn: models, data, training, pruning, apply, adapters.
//!
//! This crate knows nothing of encryption, rounds' agreement or networks: it turns data and a common
//! adapter into an update, and an opened sum into the next common adapter.
//!
//! Indexing is allowed here: in kernels and codecs the bounds stand beside it, and what comes from files is checked
//! before it is an index.
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

pub use error::{Result, TrainError};
pub use memory::reuse_freed_memory;
pub use train::{
    AdamW, AdamWSettings, Answer, AnswerEnd, ComputeDevice, Evaluation, Generation, LocalSteps,
    OnProgress, Progress, RoundResult, RoundStats, Sampling, StepGradient, StepReport,
    TrainSettings, Trainer, adapter_gradient, adapter_logits, answer_device_probe,
    clip_global_norm, local_steps,
};

#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub use train::count_launches;

/// The CPU device (burn-flex). Thread count: the environment variable `RAYON_NUM_THREADS`.
pub fn cpu() -> burn_tensor::Device {
    burn_tensor::Device::flex()
}
