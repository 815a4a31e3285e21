//! What the pipeline reports while it works: progress for people, seconds for the round's report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fedshield_protocol::ids::Round;
use tokio::sync::watch;

use crate::control::api::{NodeStatus, Progress};
use crate::pipeline::{ContributionSizes, Observer, Stage, TrainingStep};

/// Bytes of one value in clear.
const F32_BYTES: u64 = 4;

/// What was measured in one round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoundMeasures {
    /// Seconds of each stage.
    pub seconds: BTreeMap<&'static str, f64>,
    /// Mean training loss.
    pub train_loss: Option<f64>,
    /// The pruned update as f32.
    pub update_bytes_f32: u64,
    /// The encrypted update.
    pub ciphertext_bytes: u64,
}

/// Rounds whose measures are kept until their report is made.
const ROUNDS_KEPT: usize = 4;

/// Collects measures and shows progress.
pub struct ProgressBoard {
    rounds: Mutex<BTreeMap<Round, RoundMeasures>>,
    status: Arc<watch::Sender<NodeStatus>>,
}

impl ProgressBoard {
    /// A board that shows progress in `status`.
    #[must_use]
    pub fn new(status: Arc<watch::Sender<NodeStatus>>) -> Self {
        Self { rounds: Mutex::default(), status }
    }

    /// Takes what was measured in `round`.
    pub fn take(&self, round: Round) -> RoundMeasures {
        self.lock().remove(&round).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Round, RoundMeasures>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, round: Round, change: impl FnOnce(&mut RoundMeasures)) {
        let mut rounds = self.lock();
        change(rounds.entry(round).or_default());
        while rounds.len() > ROUNDS_KEPT {
            rounds.pop_first();
        }
    }

    fn show(&self, progress: Option<Progress>) {
        self.status.send_modify(|status| status.progress = progress);
    }
}

impl Observer for ProgressBoard {
    fn begin(&self, _round: Round, stage: Stage) {
        self.show(Some(Progress {
            phase: stage.word().to_owned(),
            step: 0,
            steps: 0,
            loss: None,
            tokens_per_second: None,
            fraction: 0.0,
        }));
    }

    fn end(&self, round: Round, stage: Stage, seconds: f64) {
        self.measure(round, |measures| {
            *measures.seconds.entry(stage.word()).or_default() += seconds;
        });
        self.show(None);
    }

    fn step(&self, _round: Round, step: TrainingStep) {
        self.status.send_modify(|status| {
            let phase = status.progress.as_ref().map_or_else(String::new, |p| p.phase.clone());
            status.progress = Some(Progress {
                phase,
                step: step.step,
                steps: step.steps,
                loss: Some(step.loss),
                tokens_per_second: Some(step.tokens_per_second),
                fraction: step.step as f64 / step.steps.max(1) as f64,
            });
        });
    }

    fn contributed(&self, round: Round, update: ContributionSizes) {
        self.measure(round, |measures| {
            measures.train_loss = update.train_loss;
            measures.update_bytes_f32 = update.values * F32_BYTES;
            measures.ciphertext_bytes = update.ciphertext_bytes;
        });
    }
}
