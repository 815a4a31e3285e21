//! What terms cost a member and what they make of its data, before anybody agrees to them.

use std::path::Path;

use fedshield_protocol::manifest::{Terms, TermsFields};
use fedshieldd::config::{Config, TrainerKind};
use fedshieldd::offline::{StepCost, StepQuestion, measure_step};
use fedshieldd::terms::{Plan, UpdateSizes};

use super::super::adapter::offline_failure;
use super::render::passes_fact;
use super::terms_failure;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::terms::{TermsFlags, TermsPreset, propose};
use crate::units;

/// Bytes of a model whose step is measured without being asked: it takes seconds.
const SMALL_MODEL: u64 = 300 << 20;

/// What is known before a federation is drafted.
pub(super) struct Known<'a> {
    pub(super) members: u16,
    /// About how many examples each member trains on.
    pub(super) examples: Option<u64>,
    /// This node's configuration.
    pub(super) node: Option<&'a Config>,
}

impl Known<'_> {
    pub(super) fn model(&self) -> Option<&Path> {
        self.node?.model.path.as_deref()
    }

    /// Flags for what was not said, if something is known of the data; shown to the operator.
    pub(super) fn propose(&self, preset: TermsPreset, flags: &mut TermsFlags, screen: &Screen) {
        let Some(examples) = self.examples else { return };
        let mut proposed = Vec::new();
        if flags.rounds.is_none() {
            let rounds = propose::rounds(examples, preset, flags);
            flags.rounds = Some(rounds);
            proposed.push(units::count(rounds, "round"));
        }
        let width = self.model().and_then(|model| fedshieldd::terms::width(model).ok());
        if let Some(width) = width.filter(|_| flags.lr.is_none()) {
            let rate = propose::rate(width);
            flags.lr = Some(rate);
            proposed.push(format!("a learning rate of {rate} for a model of width {width}"));
        }
        if !proposed.is_empty() {
            let name = preset.name();
            screen.remark(&format!("proposed: preset {name}, {}", proposed.join(", ")));
        }
    }

    /// Measures an optimiser step if that was asked for (`asked`) or takes seconds.
    ///
    /// # Errors
    /// A model that cannot be used.
    pub(super) fn measure(&self, terms: &Terms, asked: bool) -> Result<Option<StepCost>, Failure> {
        let (Some(node), Some(model)) = (self.node, self.model()) else { return Ok(None) };
        let unasked = self.examples.is_some() && size(model).is_some_and(|it| it <= SMALL_MODEL);
        if node.training.trainer == TrainerKind::Command || !(asked || unasked) {
            return Ok(None);
        }
        let plan = self.plan(terms)?;
        let device = fedshieldd::config::ComputeDevice::parse(&node.training.device);
        let question = StepQuestion {
            model,
            plan: &plan,
            sequence: terms.training.sequence_length as usize,
            base_precision: node.training.base_precision,
            device: device.unwrap_or_default(),
        };
        let cost = measure_step(&question).map_err(|error| offline_failure(&error))?;
        Ok(Some(cost))
    }

    fn plan(&self, terms: &Terms) -> Result<Plan, Failure> {
        Plan::of_terms(terms, self.members).map_err(|error| terms_failure(&error))
    }

    fn sizes(&self, terms: &Terms, model: &Path) -> Result<UpdateSizes, Failure> {
        let plan = self.plan(terms)?;
        UpdateSizes::at(terms, &plan, self.members, model).map_err(|error| terms_failure(&error))
    }

    /// Minutes of a round that leave time for slower members.
    ///
    /// # Errors
    /// Terms that do not go with the model.
    pub(super) fn round_minutes(&self, terms: &Terms, cost: &StepCost) -> Result<u64, Failure> {
        let received = match self.model() {
            Some(model) => self.sizes(terms, model)?.most * u64::from(self.members),
            None => 0,
        };
        Ok(propose::round_minutes(round_seconds(terms, cost), received))
    }

    /// Sentences, as far as data, model and machine are known.
    ///
    /// # Errors
    /// Terms that do not go with the model, or a model that cannot be read.
    pub(super) fn lines(
        &self,
        terms: &Terms,
        cost: Option<&StepCost>,
    ) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        if let Some(examples) = self.examples {
            let (_, text) = passes_fact(terms, examples, Colours::none());
            lines.push(format!("with about {examples} examples at each member, {text}"));
        }
        let Some(model) = self.model() else { return Ok(lines) };
        let sizes = self.sizes(terms, model)?;
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
        lines.push(memory(&sizes, terms, cost));
        lines.push(format!("disk of a member: at most {}", units::bytes(sizes.disk)));
        lines.push(time(terms, cost));
        Ok(lines)
    }
}

/// Most tokens of an optimiser step.
fn step_tokens(terms: &TermsFields) -> f64 {
    f64::from(terms.training.batch_size) * f64::from(terms.training.sequence_length)
}

/// Most seconds that a round trains on this machine.
fn round_seconds(terms: &TermsFields, cost: &StepCost) -> f64 {
    step_tokens(terms) * cost.seconds_per_token * f64::from(terms.training.steps_per_round)
}

fn memory(sizes: &UpdateSizes, terms: &TermsFields, cost: Option<&StepCost>) -> String {
    let adapter = units::bytes(sizes.training);
    let Some(cost) = cost else {
        return format!(
            "memory of a member: {adapter} for the adapter while it trains, beside the base model and \
             the activations of a step, which `--measure` measures"
        );
    };
    let base = units::bytes(cost.base_bytes);
    let step = cost.bytes_per_token.map_or_else(String::new, |bytes| {
        let most = units::bytes((bytes * step_tokens(terms)) as u64);
        format!(", at most {most} for a step whose sequences are all as long as they may be")
    });
    format!(
        "memory of a member like this one: {base} for the base model, {adapter} for the adapter{step}"
    )
}

fn time(terms: &TermsFields, cost: Option<&StepCost>) -> String {
    let limit = units::seconds(terms.deadlines.round_ms as f64 / 1000.0);
    let skipped = format!("a round that cannot go on is skipped after {limit}");
    let Some(cost) = cost else { return format!("{skipped}; `--measure` measures a step") };
    let round = round_seconds(terms, cost);
    format!(
        "training on this machine: at most {} a round, {} in all, where every sequence is as long as it \
         may be; {skipped}",
        units::seconds(round),
        units::seconds(round * terms.rounds as f64)
    )
}

/// Bytes of a model's files; `None` if they cannot be read.
fn size(model: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(model).ok()?;
    if metadata.is_file() {
        return Some(metadata.len());
    }
    let files = std::fs::read_dir(model).ok()?;
    Some(files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::terms;

    const COST: StepCost = StepCost {
        seconds_per_token: 1e-3,
        base_bytes: 8_000_000,
        bytes_per_token: Some(2e3),
        tokens: 64,
    };

    #[test]
    fn what_was_measured_is_scaled_to_the_terms() {
        let known = Known { members: 4, examples: Some(80), node: None };
        let flags = TermsFlags { rounds: Some(10), seq: Some(100), ..TermsFlags::default() };
        let terms = terms("t", TermsPreset::Small, 4, &flags).unwrap();
        // Ten steps of eight examples of a hundred tokens.
        assert!((round_seconds(&terms, &COST) - 8.0).abs() < 1e-9);
        assert_eq!(known.round_minutes(&terms, &COST).unwrap(), 10);
        let text = time(&terms, Some(&COST));
        assert!(text.contains("8.00 s a round, 80.0 s in all"), "{text}");
        assert!(time(&terms, None).contains("--measure"));
        let sizes =
            UpdateSizes { values: 1, most: 1, total: 1, optimizer: 0, training: 24_000, disk: 1 };
        let text = memory(&sizes, &terms, Some(&COST));
        assert!(text.contains("8.00 MB for the base model") && text.contains("1.60 MB"), "{text}");
        assert!(memory(&sizes, &terms, None).contains("24.0 kB"));
        assert_eq!(known.lines(&terms, None).unwrap().len(), 1);
        assert!(known.measure(&terms, true).unwrap().is_none());
    }

    #[test]
    fn only_what_was_not_said_is_proposed() {
        let screen = Screen::new(true);
        let known = Known { members: 4, examples: Some(80), node: None };
        let mut flags = TermsFlags { lr: Some(0.5), ..TermsFlags::default() };
        known.propose(TermsPreset::Small, &mut flags, &screen);
        assert_eq!((flags.rounds, flags.lr), (Some(10), Some(0.5)));
        flags.rounds = Some(3);
        known.propose(TermsPreset::Small, &mut flags, &screen);
        assert_eq!(flags.rounds, Some(3));
        let mut flags = TermsFlags::default();
        Known { examples: None, ..known }.propose(TermsPreset::Small, &mut flags, &screen);
        assert_eq!(flags.rounds, None);
    }
}
