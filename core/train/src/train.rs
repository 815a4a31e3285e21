//! Local training, evaluation and generation.

mod alone;
mod answers;
mod device;
mod evaluate;
mod generate;
mod gradient;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod launches;
mod optimizer;
mod optimizer_state;
mod paired;
mod probe;
mod progress;
mod run;
mod search;
mod steps;
mod trainer;

pub use alone::{AloneRun, AloneSettings, OnCheckpoint};
pub use answers::{AnswerScore, ShortAnswers};
pub use device::ComputeDevice;
pub use evaluate::{Evaluation, ExampleLoss};
pub use generate::{Answer, AnswerEnd, Generation, Sampling};
pub use gradient::{StepGradient, adapter_gradient, adapter_logits};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub use launches::count_launches;
pub use optimizer::{AdamW, AdamWSettings, clip_global_norm};
pub use optimizer_state::{Moments, OptimizerState};
pub use paired::{PairedDifference, mean_loss};
pub use probe::answer_device_probe;
pub use progress::{OnProgress, Progress, RoundStats};
pub use search::{Found, Search, Stepwise};
pub use steps::{LocalSettings, LocalSteps, StepReport, local_steps};
pub use trainer::{RoundResult, RoundTask, TrainSettings, Trainer};
