//! The parts of the terms: adapter, training, pruning, deadlines.

use std::collections::BTreeSet;

use super::Checked;
use super::field::{above_zero, between, fraction, text, wrong};
use crate::limits::{MAX_DEADLINE_MS, MAX_NAME_BYTES, MAX_TARGET_MODULES, MIN_DEADLINE_MS};
use crate::manifest::{Adapter, Algorithm, Deadlines, Evaluation, Pruning, Stop, Training};

pub(super) fn check_adapter(adapter: &Adapter) -> Checked {
    between("adapter.rank", u64::from(adapter.rank), 1, 1024)?;
    between("adapter.alpha", u64::from(adapter.alpha), 1, 1 << 16)?;
    let modules = &adapter.target_modules;
    if modules.is_empty() || modules.len() > MAX_TARGET_MODULES {
        return wrong(
            "adapter.target_modules",
            format!("a list of {}", modules.len()),
            format!("name 1 to {MAX_TARGET_MODULES} projections, for instance \"q_proj\""),
        );
    }
    let mut seen = BTreeSet::new();
    for (i, module) in modules.iter().enumerate() {
        text(&format!("adapter.target_modules[{i}]"), module, MAX_NAME_BYTES)?;
        if !seen.insert(module) {
            return wrong(
                format!("adapter.target_modules[{i}]"),
                format!("\"{module}\" a second time"),
                "name each projection once",
            );
        }
    }
    Ok(())
}

pub(super) fn check_training(training: &Training) -> Checked {
    between("training.steps_per_round", u64::from(training.steps_per_round), 1, 1_000_000)?;
    between("training.batch_size", u64::from(training.batch_size), 1, 65_536)?;
    between("training.sequence_length", u64::from(training.sequence_length), 1, 1 << 20)?;
    above_zero("training.learning_rate", training.learning_rate)?;
    if training.learning_rate_final.get() < 0.0 {
        return wrong(
            "training.learning_rate_final",
            training.learning_rate_final.get(),
            "take 0 or more",
        );
    }
    above_zero("training.rate_ratio", training.rate_ratio)?;
    if training.proximal.get() < 0.0 {
        return wrong("training.proximal", training.proximal.get(), "take 0 or more");
    }
    check_algorithm(training)?;
    above_zero("training.max_gradient_norm", training.max_gradient_norm)?;
    text("training.template", &training.template, MAX_NAME_BYTES)
}

pub(super) fn check_stop(stop: &Stop, evaluation: Evaluation) -> Checked {
    between("stop.after", u64::from(stop.after), 1, 10_000)?;
    between("stop.fall", u64::from(stop.fall), 0, 10_000)?;
    match evaluation {
        Evaluation::Mean => Ok(()),
        Evaluation::Off => wrong(
            "stop",
            "there, and `evaluation` is off",
            "take `evaluation = \"mean\"`: the rule goes by what members measure for it",
        ),
    }
}

/// What only some algorithms can do.
fn check_algorithm(training: &Training) -> Checked {
    match training.algorithm {
        Algorithm::Halves if training.steps_per_round < 2 => wrong(
            "training.steps_per_round",
            training.steps_per_round,
            "take 2 or more with `halves`, which trains one factor in each half of a round",
        ),
        Algorithm::FedSb if training.rate_ratio.get() != 1.0 => wrong(
            "training.rate_ratio",
            training.rate_ratio.get(),
            "leave it out with `fed-sb`, which trains neither A nor B",
        ),
        _ => Ok(()),
    }
}

pub(super) fn check_pruning(pruning: &Pruning) -> Checked {
    fraction("pruning.initial", pruning.initial)?;
    fraction("pruning.last", pruning.last)?;
    fraction("pruning.explore", pruning.explore)?;
    fraction("pruning.memory", pruning.memory)?;
    for (field, value) in [("pruning.initial", pruning.initial), ("pruning.last", pruning.last)] {
        if value.get() >= 1.0 {
            return wrong(field, value.get(), "take less than 1: with 1 nothing would be sent");
        }
    }
    if pruning.end_round < pruning.start_round {
        return wrong(
            "pruning.end_round",
            pruning.end_round,
            format!("take pruning.start_round ({}) or later", pruning.start_round),
        );
    }
    Ok(())
}

pub(super) fn check_deadlines(deadlines: &Deadlines) -> Checked {
    for (field, ms) in [
        ("deadlines.commit_ms", deadlines.commit_ms),
        ("deadlines.transfer_ms", deadlines.transfer_ms),
        ("deadlines.view_ms", deadlines.view_ms),
        ("deadlines.decrypt_ms", deadlines.decrypt_ms),
        ("deadlines.round_ms", deadlines.round_ms),
    ] {
        between(field, ms, MIN_DEADLINE_MS, MAX_DEADLINE_MS)?;
    }
    let before = deadlines.commit_ms.saturating_add(deadlines.transfer_ms);
    if deadlines.round_ms <= before {
        return wrong(
            "deadlines.round_ms",
            deadlines.round_ms,
            format!("take more than commit_ms + transfer_ms ({before}), or every round is skipped"),
        );
    }
    Ok(())
}
