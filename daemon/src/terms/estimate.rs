//! What terms cost a member and what they make of its data, before anybody agrees to them.

use std::path::Path;

use fedshield_he::{MEASUREMENT_SLOTS, ciphertext_len};
use fedshield_protocol::manifest::{Evaluation, TermsFields};
use fedshield_train::federated::{AdapterLayout, FederatedSettings, PruneRule};
use fedshield_train::load::open_config;
use fedshield_train::model::ModelConfig;

use super::Plan;
use crate::jobs::PipelineError;

/// Passes over a member's examples above which an adapter learns them by heart.
pub const MOST_PASSES: f64 = 10.0;

/// How often all rounds together train on each of `examples` examples.
#[must_use]
pub fn passes(terms: &TermsFields, examples: u64) -> f64 {
    let training = &terms.training;
    let a_round = f64::from(training.steps_per_round) * f64::from(training.batch_size);
    a_round * terms.rounds as f64 / examples.max(1) as f64
}

/// The size of a member's own updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateSizes {
    /// Values in the largest update.
    pub values: u64,
    /// Bytes of the largest ciphertext.
    pub most: u64,
    /// Bytes of the ciphertexts of all rounds.
    pub total: u64,
}

impl UpdateSizes {
    /// Under `terms`, for the base model at `model`, of which no weight is read.
    ///
    /// # Errors
    /// A model that cannot be read, and those of [`Self::of`].
    pub fn at(terms: &TermsFields, plan: &Plan, model: &Path) -> Result<Self, PipelineError> {
        let model = open_config(model)?;
        Self::of(terms, plan, &model)
    }

    /// Under `terms`, for a base model of this shape.
    ///
    /// # Errors
    /// Names the field that this build does not support, or that does not go with the model.
    pub fn of(
        terms: &TermsFields,
        plan: &Plan,
        model: &ModelConfig,
    ) -> Result<Self, PipelineError> {
        let layout = AdapterLayout::new(model, &plan.settings.adapter)
            .map_err(|error| PipelineError::manifest("adapter", error.to_string()))?;
        let measurement = match terms.evaluation {
            Evaluation::Off => 0,
            Evaluation::Mean => MEASUREMENT_SLOTS,
        };
        let mut sizes = Self { values: 0, most: 0, total: 0 };
        for applied in 0..terms.rounds {
            let values = sent(&plan.settings, &layout, applied) as u64;
            let bytes = ciphertext_len(plan.preset, values + measurement)?;
            sizes.values = sizes.values.max(values);
            sizes.most = sizes.most.max(bytes);
            sizes.total = sizes.total.saturating_add(bytes);
        }
        Ok(sizes)
    }
}

/// Number of values that are sent in the round after `applied` applied ones.
fn sent(settings: &FederatedSettings, layout: &AdapterLayout, applied: u64) -> usize {
    let factors = settings.algorithm.factors(applied);
    let all: usize = factors.iter().map(|factor| layout.len(*factor)).sum();
    match settings.prune.rule == PruneRule::Local || settings.algorithm.is_first(applied) {
        true => all,
        false => {
            let (by_score, drawn) = settings.prune.counts(applied, all);
            by_score + drawn
        }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::terms;

    use super::*;

    #[test]
    fn passes_and_sizes_follow_the_terms() {
        let json = r#"{"model_type": "llama", "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}"#;
        let model = ModelConfig::from_json(json, std::path::Path::new("shape")).unwrap();
        let mut fields = terms();
        (fields.rounds, fields.training.steps_per_round, fields.training.batch_size) = (10, 5, 8);
        assert!((passes(&fields, 40) - 10.0).abs() < 1e-12);
        assert!(passes(&fields, 0).is_finite());
        let plan = Plan::of(&fields, 4).unwrap();
        let sizes = UpdateSizes::of(&fields, &plan, &model).unwrap();
        assert!(sizes.values > 0 && sizes.most <= sizes.total && sizes.total <= 10 * sizes.most);
        fields.rounds = 20;
        let more = UpdateSizes::of(&fields, &plan, &model).unwrap();
        assert!(more.total > sizes.total && more.most == sizes.most);
        fields.adapter.target_modules = vec!["up_proj".to_owned()];
        assert!(Plan::of(&fields, 4).is_ok());
    }
}
