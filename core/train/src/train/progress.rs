//! What a round reports while it runs.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::model::StageSeconds;

/// State of local training after one optimiser step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Optimiser steps finished.
    pub step: usize,
    /// Optimiser steps of the round.
    pub steps: usize,
    /// Mean loss over the step's labelled tokens, before the step.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens computed per second in this step, padding included.
    pub tokens_per_second: f64,
}

/// Receives progress; `Break` cancels the round, which then gives no result.
pub type OnProgress<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// What a round of local training measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundStats {
    /// Optimiser steps.
    pub steps: usize,
    /// Mean loss of each step's batch before that step.
    pub losses: Vec<f64>,
    /// Tokens computed, padding included.
    pub tokens: usize,
    /// Tokens that carried a loss.
    pub labelled_tokens: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Seconds by stage; the rest of `seconds` is the optimiser, batching and moving factors to the
    /// device.
    pub stages: StageSeconds,
}

impl RoundStats {
    /// Tokens per second over the whole round.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }
}
