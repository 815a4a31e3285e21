//! What terms cost a member and what they make of its data, before anybody agrees to them.

use std::path::Path;

use fedshield_he::{MEASUREMENT_SLOTS, ciphertext_len};
use fedshield_protocol::manifest::{Evaluation, TermsFields};
use fedshield_train::federated::{
    AdapterLayout, Factor, FederatedSettings, LocalOptimizer, PruneRule,
};
use fedshield_train::load::open_config;
use fedshield_train::model::ModelConfig;

use super::Plan;
use crate::jobs::PipelineError;

/// Passes over a member's examples above which an adapter learns them by heart.
pub const MOST_PASSES: f64 = 10.0;

/// Bytes for each value of the adapter while a round trains: the value, its gradient, two moments,
/// the common value, and what was left out of earlier updates, in f32.
const TRAINING: u64 = 6 * 4;
/// Bytes for each value of a stored adapter: the value, its score, and two of the server optimiser.
const ADAPTER: u64 = 4 * 4;

/// How often all rounds together train on each of `examples` examples.
#[must_use]
pub fn passes(terms: &TermsFields, examples: u64) -> f64 {
    let training = &terms.training;
    let a_round = f64::from(training.steps_per_round) * f64::from(training.batch_size);
    a_round * terms.rounds as f64 / examples.max(1) as f64
}

/// The sizes of a member's own updates, and of what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateSizes {
    /// Values in the largest update.
    pub values: u64,
    /// Bytes of the largest ciphertext.
    pub most: u64,
    /// Bytes of the ciphertexts of all rounds.
    pub total: u64,
    /// Bytes of the optimiser's state that a member keeps on its disk; 0 where it is not kept.
    pub optimizer: u64,
    /// Bytes of the adapter, its optimiser, gradient and error feedback while a round trains.
    pub training: u64,
    /// Most bytes on the disk of a member: the ciphertexts of all members and their sum, and the
    /// last two adapters with importance scores and server state, and the optimiser's state.
    pub disk: u64,
}

/// Width of the base model at `model`, of which no weight is read.
///
/// # Errors
/// A model that cannot be read.
pub fn width(model: &Path) -> Result<usize, PipelineError> {
    Ok(open_config(model)?.hidden_size)
}

/// Two files of two moments, four bytes each, for every trained value.
const KEPT_BYTES: u64 = 16;

impl UpdateSizes {
    /// Under `terms`, for `members` members and the base model at `model`, of which no weight is read.
    ///
    /// # Errors
    /// A model that cannot be read, and those of [`Self::of`].
    pub fn at(
        terms: &TermsFields,
        plan: &Plan,
        members: u16,
        model: &Path,
    ) -> Result<Self, PipelineError> {
        let model = open_config(model)?;
        Self::of(terms, plan, members, &model)
    }

    /// Under `terms`, for `members` members and a base model of this shape.
    ///
    /// # Errors
    /// Names the field that this build does not support, or that does not go with the model.
    pub fn of(
        terms: &TermsFields,
        plan: &Plan,
        members: u16,
        model: &ModelConfig,
    ) -> Result<Self, PipelineError> {
        let layout = AdapterLayout::new(model, &plan.settings.adapter)
            .map_err(|error| PipelineError::manifest("adapter", error.to_string()))?;
        let measurement = match terms.evaluation {
            Evaluation::Off => 0,
            Evaluation::Mean => MEASUREMENT_SLOTS,
        };
        let optimizer = kept(&plan.settings, &layout);
        let all: u64 = Factor::ALL.iter().map(|it| layout.len(*it) as u64).sum();
        let training = all * TRAINING;
        let mut sizes = Self { values: 0, most: 0, total: 0, optimizer, training, disk: 0 };
        for applied in 0..terms.rounds {
            let values = sent(&plan.settings, &layout, applied) as u64;
            let bytes = ciphertext_len(plan.preset, values + measurement)?;
            sizes.values = sizes.values.max(values);
            sizes.most = sizes.most.max(bytes);
            sizes.total = sizes.total.saturating_add(bytes);
        }
        let ciphertexts = sizes.most.saturating_mul(u64::from(members) + 1);
        sizes.disk = ciphertexts.saturating_add(2 * ADAPTER * all).saturating_add(optimizer);
        Ok(sizes)
    }
}

/// Bytes of the optimiser's state on the disk of a member, once every factor has been trained twice.
fn kept(settings: &FederatedSettings, layout: &AdapterLayout) -> u64 {
    let is_trained = |factor: &Factor| settings.algorithm.applied_to(2, *factor) > 0;
    let values: usize =
        Factor::ALL.iter().filter(|factor| is_trained(factor)).map(|it| layout.len(*it)).sum();
    match settings.local_optimizer {
        LocalOptimizer::Fresh => 0,
        LocalOptimizer::Kept => KEPT_BYTES.saturating_mul(values as u64),
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
    use fedshield_protocol::manifest;

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
        let sizes = UpdateSizes::of(&fields, &plan, 4, &model).unwrap();
        assert!(sizes.values > 0 && sizes.most <= sizes.total && sizes.total <= 10 * sizes.most);
        fields.rounds = 20;
        let more = UpdateSizes::of(&fields, &plan, 4, &model).unwrap();
        assert!(more.total > sizes.total && more.most == sizes.most);
        assert_eq!(more.optimizer, 0);
        fields.training.local_optimizer = manifest::LocalOptimizer::Kept;
        let kept = UpdateSizes::of(&fields, &Plan::of(&fields, 4).unwrap(), 4, &model).unwrap();
        // q_proj of 64 by 64 in two layers, rank 8: A and B.
        assert_eq!(kept.optimizer, 16 * 2 * (8 * 64 + 64 * 8));
        fields.training.algorithm = manifest::Algorithm::Ffa;
        let of_b = UpdateSizes::of(&fields, &Plan::of(&fields, 4).unwrap(), 4, &model).unwrap();
        assert_eq!(of_b.optimizer, kept.optimizer / 2);
        let larger = UpdateSizes::of(&fields, &plan, 10, &model).unwrap();
        assert_eq!(larger.disk - more.disk, 6 * more.most);
        // The values of both factors, of which a round may send one.
        assert!(more.training >= more.values * TRAINING, "{more:?}");
        fields.adapter.target_modules = vec!["up_proj".to_owned()];
        assert!(Plan::of(&fields, 4).is_ok());
    }
}
