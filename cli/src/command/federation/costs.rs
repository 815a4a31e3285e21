//! What terms cost a member and what they make of its data, before anybody agrees to them.

use std::path::Path;

use fedshield_protocol::manifest::Terms;
use fedshieldd::terms::{MOST_PASSES, Plan, UpdateSizes};

use super::render::passes_fact;
use super::terms_failure;
use crate::failure::Failure;
use crate::screen::Colours;
use crate::terms::{TermsFlags, TermsPreset};
use crate::units;

/// Fewest and most rounds that are proposed.
const ROUNDS: (u64, u64) = (4, 200);

/// The rounds in which each of `examples` examples is trained on as often as it may be.
pub(super) fn rounds(examples: u64, preset: TermsPreset, flags: &TermsFlags) -> u64 {
    let (steps, batch) = preset.steps_and_batch();
    let a_round = u64::from(flags.steps.unwrap_or(steps)) * u64::from(flags.batch.unwrap_or(batch));
    let most = (MOST_PASSES * examples as f64 / a_round as f64) as u64;
    most.clamp(ROUNDS.0, ROUNDS.1)
}

/// Sentences, as far as data and model are known.
///
/// # Errors
/// Terms that do not go with the model, or a model that cannot be read.
pub(super) fn lines(
    terms: &Terms,
    members: u16,
    examples: Option<u64>,
    model: Option<&Path>,
) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    if let Some(examples) = examples {
        let (_, text) = passes_fact(terms, examples, Colours::none());
        lines.push(format!("with about {examples} examples at each member, {text}"));
    }
    if let Some(model) = model {
        let plan = Plan::of_terms(terms, members).map_err(|error| terms_failure(&error))?;
        let sizes = UpdateSizes::at(terms, &plan, model).map_err(|error| terms_failure(&error))?;
        lines.push(format!(
            "with {}: updates of at most {} values, {} a round and member, {} in {}",
            model.display(),
            sizes.values,
            units::bytes(sizes.most),
            units::bytes(sizes.total),
            units::count(terms.rounds, "round")
        ));
        if sizes.optimizer > 0 {
            let bytes = units::bytes(sizes.optimizer);
            lines.push(format!("each member keeps {bytes} of its optimiser's state on its disk"));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_the_data() {
        let flags = TermsFlags::default();
        let of = |examples| rounds(examples, TermsPreset::Small, &flags);
        assert_eq!([of(10), of(60), of(400), of(1_000_000)], [4, 7, 50, 200]);
        let long = TermsFlags { steps: Some(50), ..TermsFlags::default() };
        assert_eq!(rounds(400, TermsPreset::Small, &long), 10);
    }
}
