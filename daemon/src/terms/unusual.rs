//! Values in terms that are outside the range that is known to work. They are legal, so they are
//! not refused. Organisations are warned before they agree to them, because a misplaced decimal
//! point or a missing exponent would be noticed only many rounds later.

use fedshield_he::Preset;
use fedshield_protocol::manifest::{Algorithm, ServerOptimizer, TermsFields};

/// A value of the terms and the range that is known to work.
struct Range {
    field: &'static str,
    value: f64,
    least: f64,
    most: f64,
    /// The effect of a value outside the range.
    outside: &'static str,
}

/// One sentence for each value outside the range of the published LoRA recipes and this project's
/// own runs (`docs/results`), with a margin on both sides.
#[must_use]
pub fn unusual(terms: &TermsFields) -> Vec<String> {
    let training = &terms.training;
    let rank = f64::from(terms.adapter.rank.max(1));
    let scale =
        f64::from(terms.adapter.alpha) / if terms.adapter.rslora { rank.sqrt() } else { rank };
    let steps = f64::from(training.steps_per_round);
    let diverges = "training diverges above it and learns nothing below it";
    let mut ranges = vec![
        Range {
            field: "training.learning_rate (--lr)",
            value: training.learning_rate.get(),
            least: 1e-6,
            most: 0.05,
            outside: diverges,
        },
        Range {
            field: "training.learning_rate_final (--lr-final)",
            value: training.learning_rate_final.get(),
            least: 1e-9,
            most: 0.05,
            outside: diverges,
        },
        Range {
            field: "training.rate_ratio (--lr-ratio)",
            value: training.rate_ratio.get(),
            least: 0.5,
            most: 32.0,
            outside: "one of the two factors hardly learns",
        },
        Range {
            field: "training.proximal (--proximal)",
            value: training.proximal.get(),
            least: 0.0,
            most: 10.0,
            outside: "members hardly leave the common adapter",
        },
        Range {
            field: "training.steps_per_round (--steps)",
            value: steps,
            least: 1.0,
            most: 2_000.0,
            outside: "members drift apart in a round that long",
        },
        Range {
            field: "training.batch_size (--batch)",
            value: f64::from(training.batch_size),
            least: 1.0,
            most: 1_024.0,
            outside: "a step may need more memory than the members have",
        },
        Range {
            field: "training.sequence_length (--seq)",
            value: f64::from(training.sequence_length),
            least: 16.0,
            most: 32_768.0,
            outside: "examples lose their answers below it, a step needs very much memory above it",
        },
        Range {
            field: "training.max_gradient_norm",
            value: training.max_gradient_norm.get(),
            least: 0.01,
            most: 100.0,
            outside: "steps are scaled to nothing below it and not at all above it",
        },
        Range {
            field: "adapter.rank (--rank)",
            value: f64::from(terms.adapter.rank),
            least: 1.0,
            most: 256.0,
            outside: "traffic grows with the rank, what is learnt does not",
        },
        Range {
            field: "adapter.alpha over adapter.rank, or its root with rsLoRA (--alpha, --rank)",
            value: scale,
            least: 0.1,
            most: 16.0,
            outside: "it multiplies every change of the adapter",
        },
        Range {
            field: "encryption.clip (--clip)",
            value: terms.encryption.clip.get(),
            least: 0.02,
            most: 20.0,
            outside: "updates are cut to nothing below it and lose their precision above it",
        },
        Range {
            field: "pruning.last (--sparsity)",
            value: terms.pruning.last.get(),
            least: 0.0,
            most: 0.95,
            outside: "hardly anything of an update is sent",
        },
    ];
    let server = |field, value, most| Range {
        field,
        value,
        least: 1e-5,
        most,
        outside: "it multiplies what the members have learnt in a round",
    };
    ranges.push(match terms.server_optimizer {
        ServerOptimizer::Plain { rate } => {
            server("server_optimizer.plain.rate (--server-rate)", rate.get(), 8.0)
        }
        ServerOptimizer::Momentum { rate, .. } => {
            server("server_optimizer.momentum.rate (--server-rate)", rate.get(), 8.0)
        }
        ServerOptimizer::Nesterov { rate, .. } => {
            server("server_optimizer.nesterov.rate (--server-rate)", rate.get(), 8.0)
        }
        ServerOptimizer::Adam { rate, .. } => {
            server("server_optimizer.adam.rate (--server-rate)", rate.get(), 0.05)
        }
    });
    if training.rate_ratio.get() != 1.0 {
        ranges.push(Range {
            field: "training.learning_rate times training.rate_ratio (--lr, --lr-ratio)",
            value: training.learning_rate.get() * training.rate_ratio.get(),
            least: 1e-6,
            most: 0.05,
            outside: diverges,
        });
    }
    // Between two fixed factors the one trained matrix takes larger steps.
    if training.algorithm == Algorithm::FedSb {
        for range in ranges.iter_mut().take(2) {
            range.most *= 4.0;
        }
    }
    let mut found: Vec<String> = ranges.iter().filter_map(Range::remark).collect();
    let preset = &terms.encryption.preset;
    if Preset::by_name(preset).is_ok_and(Preset::is_insecure) {
        found.push(format!(
            "encryption.preset is {preset}, which protects nothing: it exists for tests"
        ));
    }
    if training.learning_rate_final.get() > training.learning_rate.get() {
        found.push(format!(
            "training.learning_rate_final ({}) is above training.learning_rate ({}): the rate is meant to fall",
            training.learning_rate_final.get(),
            training.learning_rate.get()
        ));
    }
    found
}

impl Range {
    fn remark(&self) -> Option<String> {
        let Self { field, value, least, most, outside } = self;
        let inside = (*least..=*most).contains(value);
        (!inside).then(|| {
            format!("{field} is {value}, and only {least} to {most} is known to work: {outside}")
        })
    }
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::{real, terms};

    use super::*;

    #[test]
    fn what_is_usual_is_not_remarked_on_and_what_is_not_is_named() {
        assert_eq!(unusual(&terms()), Vec::<String>::new());
        type Change = fn(&mut TermsFields);
        let table: [(&str, Change); 12] = [
            ("protects nothing", |t| t.encryption.preset = "INSECURE-rlwe-sum/b16/n16".into()),
            ("--lr)", |t| t.training.learning_rate = real(100.0)),
            ("--lr)", |t| t.training.learning_rate = real(1e-9)),
            ("is above", |t| t.training.learning_rate_final = real(0.01)),
            ("--lr-ratio", |t| t.training.rate_ratio = real(200.0)),
            ("--proximal", |t| t.training.proximal = real(1e3)),
            ("--steps", |t| t.training.steps_per_round = 100_000),
            ("--rank", |t| t.adapter.rank = 1024),
            ("--alpha", |t| t.adapter.alpha = 60_000),
            ("--clip", |t| t.encryption.clip = real(1e-6)),
            ("--sparsity", |t| t.pruning.last = real(0.99)),
            ("--server-rate", |t| {
                t.server_optimizer = ServerOptimizer::Plain { rate: real(1000.0) };
            }),
        ];
        for (flag, change) in table {
            let mut terms = terms();
            change(&mut terms);
            let found = unusual(&terms);
            assert!(found.iter().any(|remark| remark.contains(flag)), "{flag}: {found:?}");
        }
    }
}
