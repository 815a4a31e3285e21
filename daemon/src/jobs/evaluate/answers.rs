//! Answers to held-out questions, side by side.

use fedshield_train::Sampling;
use fedshield_train::adapter::Adapter;
use fedshield_train::data::{Example, Role, TokenizedExample};
use fedshield_train::federated::GlobalAdapter;

use crate::control::api::Sample;
use crate::jobs::{Pipeline, PipelineError};

/// Longest sample answer, in tokens.
const SAMPLE_TOKENS: usize = 64;

impl Pipeline {
    /// Answers to the first `count` questions of `examples`, of the base model and with each of
    /// `[alone, common, best]`.
    pub(super) fn sample_answers(
        &self,
        [alone, common, best]: [Option<&GlobalAdapter>; 3],
        examples: &[TokenizedExample],
        count: usize,
    ) -> Result<Vec<Sample>, PipelineError> {
        let learning = &*self.learning;
        let trainer = learning.trainer()?;
        let greedy = Sampling { max_tokens: SAMPLE_TOKENS, temperature: 0.0, top_p: 1.0, seed: 0 };
        let chosen = examples.iter().take(count);
        let answers = chosen.map(|held_out| {
            let shown = held_out.shown()?;
            let answer = |adapter: Option<&GlobalAdapter>| {
                let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
                trainer.answer(adapter, learning.rendering.template, &shown, &greedy)
            };
            let with_common = answer(common)?;
            let is_common =
                best.zip(common).is_some_and(|(best, common)| std::ptr::eq(best, common));
            Ok(Sample {
                prompt: question(&shown),
                reference: shown.answer().to_owned(),
                base: answer(None)?,
                alone: alone.map(|alone| answer(Some(alone))).transpose()?,
                best: if is_common { with_common.clone() } else { answer(best)? },
                common: with_common,
            })
        });
        answers.collect()
    }
}

/// The last user message of an example.
fn question(example: &Example) -> String {
    let turns = example.turns();
    let asked = turns.iter().rev().find(|turn| turn.role == Role::User);
    asked.map(|turn| turn.said().to_owned()).unwrap_or_default()
}
