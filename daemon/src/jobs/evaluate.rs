//! The operator's comparison: losses of the base model, of an adapter trained here alone, and of
//! the federation's, on this member's held-out data.

use fedshield_protocol::hash::Use;
use fedshield_protocol::ids::Round;
use fedshield_protocol::object::ObjectRef;
use fedshield_train::Sampling;
use fedshield_train::adapter::Adapter;
use fedshield_train::data::{Example, Role, TokenizedExample};
use fedshield_train::federated::GlobalAdapter;
use tokio_util::sync::CancellationToken;

use super::measure::finite;
use super::observer::{Stage, TrainingStep, timed};
use super::{Pipeline, PipelineError};
use crate::learning::{Examples, Task};

/// Mean losses on the held-out response tokens, nats per token, and one sample answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LossComparison {
    /// The base model.
    pub base: f64,
    /// An adapter trained on this member's data alone, for as many steps as the federation took.
    pub local: f64,
    /// The common adapter.
    pub federated: f64,
    /// Held-out examples.
    pub examples: usize,
    /// Held-out response tokens.
    pub tokens: usize,
    /// A held-out prompt, the answer in the data, and the answers of the base model and of the
    /// common adapter.
    pub sample: Option<SampleAnswer>,
}

/// One answer without and with the common adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleAnswer {
    /// The prompt.
    pub prompt: String,
    /// The answer in the data.
    pub reference: String,
    /// The base model's greedy answer.
    pub before: String,
    /// The greedy answer with the common adapter.
    pub after: String,
}

/// Longest sample answer, in tokens.
const SAMPLE_TOKENS: usize = 64;

impl Pipeline {
    /// Compares losses; trains the local-only adapter for it.
    ///
    /// # Errors
    /// If there is no held-out data, a loss is not finite, or training fails.
    pub fn evaluate(&self, cancel: &CancellationToken) -> Result<LossComparison, PipelineError> {
        let learning = &*self.learning;
        let data = learning.examples();
        if data.set.held_out.is_empty() {
            return Err(PipelineError::NoHeldOut);
        }
        let federated = self.state().global.clone();
        let round = Round(federated.applied());
        timed(&*self.observer, round, Stage::Evaluate, || {
            let local = self.train_alone(federated.applied(), &data, cancel)?;
            let held_out = &data.set.held_out;
            if cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            let trainer = learning.trainer()?;
            let base = trainer.evaluate(None, held_out)?;
            let loss =
                |adapter: &GlobalAdapter| finite(trainer.evaluate(Some(adapter), held_out)?.loss);
            Ok(LossComparison {
                base: finite(base.loss)?,
                local: loss(&local)?,
                federated: loss(&federated)?,
                examples: base.examples,
                tokens: base.tokens,
                sample: self.sample(&federated, held_out)?,
            })
        })
    }

    /// Writes the common adapter as a PEFT folder; returns the adapter's object.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn export(&self, folder: &std::path::Path) -> Result<ObjectRef, PipelineError> {
        let global = self.state().global.clone();
        fedshield_train::adapter::export_peft(folder, &global, &self.learning.base())?;
        self.terms.rendering.write(folder)?;
        Ok(ObjectRef::of(&global.to_bytes()))
    }

    fn train_alone(
        &self,
        rounds: u64,
        data: &Examples,
        cancel: &CancellationToken,
    ) -> Result<GlobalAdapter, PipelineError> {
        let (learning, terms) = (&*self.learning, &self.terms);
        let mut local = learning.first_adapter(terms)?;
        let steps = rounds * terms.settings.steps as u64;
        for t in 0..rounds {
            let seed = Use::LocalOnly.digest(&[&t.to_le_bytes(), &terms.me.0.to_le_bytes()]);
            let done = t * terms.settings.steps as u64;
            let on_step = |step: TrainingStep| {
                let step = TrainingStep { step: done + step.step, steps, ..step };
                self.observer.step(Round(t), Stage::Evaluate, step);
            };
            let settings = &terms.settings;
            let task = Task { purpose: "local-only", global: &local, settings, seed: seed.0 };
            let result = learning.train(&task, data, cancel, &on_step)?;
            local = local.with_trained(&result.theta)?;
        }
        Ok(local)
    }

    fn sample(
        &self,
        federated: &GlobalAdapter,
        held_out: &[TokenizedExample],
    ) -> Result<Option<SampleAnswer>, PipelineError> {
        let learning = &*self.learning;
        let Some(held_out) = held_out.first() else { return Ok(None) };
        let shown = held_out.shown()?;
        let trainer = learning.trainer()?;
        let answer = |adapter: Option<&dyn Adapter>| {
            let greedy =
                Sampling { max_tokens: SAMPLE_TOKENS, temperature: 0.0, top_p: 1.0, seed: 0 };
            trainer.answer(adapter, learning.rendering.template, &shown, &greedy)
        };
        Ok(Some(SampleAnswer {
            prompt: question(&shown),
            reference: shown.answer().to_owned(),
            before: answer(None)?,
            after: answer(Some(federated))?,
        }))
    }
}

/// The last user message of an example.
fn question(example: &Example) -> String {
    let turns = example.turns();
    let asked = turns.iter().rev().find(|turn| turn.role == Role::User);
    asked.map(|turn| turn.said().to_owned()).unwrap_or_default()
}
