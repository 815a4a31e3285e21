//! Observing jobs: progress for the operator, durations for reports.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_train::Progress;

use crate::control::api::Condition;
use crate::learning::DataLook;

/// The steps of an update's path that run at this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Measuring the adapter that the round starts from, for the mean of all members.
    Measure,
    /// Local training.
    Train,
    /// Choosing and clipping what is sent.
    Prune,
    /// Quantising and encrypting, in one pass over the values.
    Encrypt,
    /// Splitting and sealing the key.
    Share,
    /// Adding ciphertexts.
    Aggregate,
    /// Adding key shares.
    Decrypt,
    /// Finding the key and opening the sum.
    Combine,
    /// Applying the sum.
    Apply,
    /// Comparing losses.
    Evaluate,
}

impl Stage {
    /// Its name in the path of an update, as used in reports, metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Measure => "measure",
            Self::Train => "train",
            Self::Prune => "prune",
            Self::Encrypt => "encrypt",
            Self::Share => "share",
            Self::Aggregate => "aggregate",
            Self::Decrypt => "decrypt",
            Self::Combine => "combine",
            Self::Apply => "apply",
            Self::Evaluate => "evaluate",
        }
    }
}

/// One optimiser step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingStep {
    /// Steps done.
    pub step: u64,
    /// Total number of steps.
    pub steps: u64,
    /// Mean loss over the step's labelled tokens, nats per token.
    pub loss: f64,
    /// Tokens processed per second.
    pub tokens_per_second: f64,
}

impl From<&Progress> for TrainingStep {
    fn from(step: &Progress) -> Self {
        Self {
            step: step.step as u64,
            steps: step.steps as u64,
            loss: step.loss,
            tokens_per_second: step.tokens_per_second,
        }
    }
}

/// The sender of a parsed partial decryption, and the reason if it was rejected.
pub type ParsedPartial = (MemberIndex, Option<String>);

/// Receives events of the pipeline as they happen. Called from worker threads; must not block.
pub trait Observer: Send + Sync {
    /// A stage begins.
    fn begin(&self, _round: Round, _stage: Stage) {}
    /// A stage is done.
    fn end(&self, _round: Round, _stage: Stage, _seconds: f64) {}
    /// An optimiser step of a stage that trains is done.
    fn step(&self, _round: Round, _stage: Stage, _step: TrainingStep) {}
    /// An update was encrypted.
    fn contributed(&self, _round: Round, _update: ContributionSizes) {}
    /// The partial decryptions of a round were parsed: by member, with the reason for those that
    /// were rejected.
    fn parsed_partials(&self, _round: Round, _parsed: &[ParsedPartial]) {}
    /// The data files were checked.
    fn looked_at_data(&self, _look: &DataLook) {}
    /// The condition about records that were left out of the examples in use, if any.
    fn left_out(&self, _condition: Option<Condition>) {}
    /// The condition about an optimiser's state that cannot be used, if any.
    fn optimizer_state(&self, _condition: Option<Condition>) {}
    /// The condition about a measurement for the mean of all members that failed, if any.
    fn unmeasured(&self, _condition: Option<Condition>) {}
}

/// Sizes and loss of this member's own update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContributionSizes {
    /// Number of values left after pruning.
    pub values: u64,
    /// Size of the ciphertext with its headers, in bytes.
    pub ciphertext_bytes: u64,
    /// Mean training loss over the round's steps; `None` if an earlier training was sent again.
    pub train_loss: Option<f64>,
}

/// Runs a stage and reports its duration to the observer.
pub(super) fn timed<T>(
    observer: &dyn Observer,
    round: Round,
    stage: Stage,
    work: impl FnOnce() -> T,
) -> T {
    observer.begin(round, stage);
    let _end = End { observer, round, stage, begin: std::time::Instant::now() };
    work()
}

/// Ends a stage even if its work fails or panics; otherwise it would be shown as running for ever.
struct End<'a> {
    observer: &'a dyn Observer,
    round: Round,
    stage: Stage,
    begin: std::time::Instant,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.observer.end(self.round, self.stage, self.begin.elapsed().as_secs_f64());
    }
}
