//! The terms of a new federation: a preset, changed by flags, or a file.

mod file;
mod follows;
mod names;
pub mod propose;
mod server;
mod targets;

use clap::{Args, ValueEnum};
use fedshield_protocol::manifest::{
    Adapter, Encryption, Evaluation, LocalOptimizer, ManifestError, Real, Stop, Terms, TermsFields,
    Training, Weights,
};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::TemplateDate;

use crate::failure::Failure;
pub use file::terms_from_file;
use follows::{deadlines, encryption_preset, pruning};
pub use names::{AlgorithmName, EvaluationName, LocalOptimizerName, PruningName, WeightsName};
pub use server::OptimizerName;

/// A named set of terms to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TermsPreset {
    /// A small model and a first trial: rank 8, short sequences, 10 rounds.
    Small,
    /// A few hundred examples or more at each member: rank 16, sequence 512, 24 rounds.
    Standard,
    /// Thousands of examples at each member: rank 32, batch 16, sequence 1024, 60 rounds of 20 steps.
    Large,
    /// The settings of FedShield-LLM (arXiv 2506.05640): rank 32, batch 16, sequence 512, 200 rounds.
    Paper,
}

impl TermsPreset {
    fn base(self) -> Base {
        match self {
            Self::Small => SMALL,
            Self::Standard => STANDARD,
            Self::Large => LARGE,
            Self::Paper => PAPER,
        }
    }

    /// Its name, as `--preset` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Standard => "standard",
            Self::Large => "large",
            Self::Paper => "paper",
        }
    }

    /// Steps of a round and examples of a step, before flags.
    #[must_use]
    pub fn steps_and_batch(self) -> (u32, u32) {
        let base = self.base();
        (base.steps, base.batch)
    }
}

/// Flags that change the preset. `federation new` and `demo` share them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Terms")]
pub struct TermsFlags {
    /// Rounds that get an adapter before the federation is done
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: Option<u64>,
    /// Optimiser steps in one round
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Examples in one step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Longest sequence, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(8..))]
    pub seq: Option<u32>,
    /// LoRA rank
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub rank: Option<u32>,
    /// LoRA alpha; twice the rank unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub alpha: Option<u32>,
    /// rsLoRA: scale the adapter by alpha over the root of the rank instead of the rank
    #[arg(long)]
    pub rslora: bool,
    /// Projections that get an adapter, or `all-linear` for all of them [default: those of the
    /// attention in the model's family]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub target_modules: Option<Vec<String>>,
    /// What is trained and sent in which round
    #[arg(long, value_enum)]
    pub algorithm: Option<AlgorithmName>,
    /// Learning rate of the first round; falls along a cosine
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Learning rate of the last round; a tenth of --lr unless given
    #[arg(long, value_name = "RATE")]
    pub lr_final: Option<f64>,
    /// Learning rate of B as a multiple of that of A (LoRA+), which --lr is; not with a trainer
    /// command [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub lr_ratio: Option<f64>,
    /// Pull of a member's values towards the common ones in a round (FedProx), for data that differ
    /// much; not with a trainer command [default: 0]
    #[arg(long, value_name = "MU")]
    pub proximal: Option<f64>,
    /// What a member's optimiser starts a round with; `kept` needs 16 bytes of disk for each value
    /// of the adapter, and the built-in trainer [default: fresh]
    #[arg(long, value_enum)]
    pub local_optimizer: Option<LocalOptimizerName>,
    /// Prompt template: `alpaca`, `chatml`, `vicuna` or `model` (the model's own)
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// The date that chat templates write as the current one, for all members [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub template_date: Option<TemplateDate>,
    /// Bits for each value of an update
    #[arg(long, value_name = "BITS", value_parser = ["8", "12", "16", "20"])]
    pub bits: Option<String>,
    /// Largest change of one value in a round, in units of steps times learning rate
    #[arg(long, value_name = "FACTOR")]
    pub clip: Option<f64>,
    /// Fraction of an update that is left out at the end of the pruning schedule, 0 to 0.95
    #[arg(long, value_name = "SHARE")]
    pub sparsity: Option<f64>,
    /// Step size of the server optimiser: the opened mean of the updates times this is applied. Above 1 where the
    /// members' data differ much, because what only one of them learns is divided by their number [default: 1]
    #[arg(long, value_name = "RATE")]
    pub server_rate: Option<f64>,
    /// What is done with the opened mean; `momentum` if --server-momentum is given, else `plain`
    #[arg(long, value_enum)]
    pub server_optimizer: Option<OptimizerName>,
    /// Momentum of the server optimiser, 0 to below 1 [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    pub server_momentum: Option<f64>,
    /// Who chooses what is left out
    #[arg(long, value_enum)]
    pub pruning: Option<PruningName>,
    /// What each member's update counts in the mean; `equal` unless given
    #[arg(long, value_enum)]
    pub weights: Option<WeightsName>,
    /// Whether members measure together how well the common adapter does; `off` unless given
    #[arg(long, value_enum)]
    pub evaluation: Option<EvaluationName>,
    /// With `--evaluation mean`: rounds without a better loss of its own after which a member says
    /// so; once a quorum does, the training ends early
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub stop_after: Option<u32>,
    /// With --stop-after: rounds that still train then, while the learning rate falls to --lr-final
    /// [default: 3]
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    #[arg(requires = "stop_after")]
    pub stop_fall: Option<u32>,
    /// Largest weight that a member may declare, with `--weights declared` [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub weight_cap: Option<u32>,
    /// Fewest updates in a sum; a quorum of the members, but at least 3, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..))]
    pub min_contributors: Option<u16>,
    /// Minutes until a round that cannot go on is skipped; the other deadlines are fractions of it
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub round_minutes: Option<u64>,
}

/// What a preset fixes.
struct Base {
    rounds: u64,
    steps: u32,
    batch: u32,
    sequence: u32,
    rank: u32,
    rate: f64,
    rate_final: f64,
    round_minutes: u64,
}

const SMALL: Base = Base {
    rounds: 10,
    steps: 10,
    batch: 8,
    sequence: 256,
    rank: 8,
    rate: 1e-3,
    rate_final: 1e-4,
    round_minutes: 60,
};

const STANDARD: Base = Base {
    rounds: 24,
    steps: 10,
    batch: 8,
    sequence: 512,
    rank: 16,
    rate: 1e-3,
    rate_final: 1e-4,
    round_minutes: 120,
};

const LARGE: Base = Base {
    rounds: 60,
    steps: 20,
    batch: 16,
    sequence: 1024,
    rank: 32,
    rate: 5e-4,
    rate_final: 5e-5,
    round_minutes: 480,
};

const PAPER: Base = Base {
    rounds: 200,
    steps: 10,
    batch: 16,
    sequence: 512,
    rank: 32,
    rate: 5e-5,
    rate_final: 1e-6,
    round_minutes: 240,
};

/// The terms that `flags` make of `preset` for about `members` members.
///
/// # Errors
/// Names the flag whose value cannot be used.
pub fn terms(
    name: &str,
    preset: TermsPreset,
    members: u16,
    flags: &TermsFlags,
) -> Result<Terms, Failure> {
    let (weights, weight_cap) = weights(flags)?;
    let base = preset.base();
    if members < 3 {
        return Err(Failure::new(
            ErrorCode::TooFewMembers,
            format!("a federation of {members} cannot hide anything: each member could subtract its own update"),
        )
        .at("--members")
        .next("find at least three organisations; four tolerate one that fails"));
    }
    let rounds = flags.rounds.unwrap_or(base.rounds);
    let rank = flags.rank.unwrap_or(base.rank);
    let steps = flags.steps.unwrap_or(base.steps);
    let rate = positive("--lr", flags.lr.unwrap_or(base.rate))?;
    let final_rate = flags.lr_final.or(flags.lr.map(|lr| lr / 10.0)).unwrap_or(base.rate_final);
    // Adam moves a value by about the learning rate in a step, so a clip at steps times learning
    // rate affects few values.
    let clip = flags.clip.unwrap_or(1.0);
    let targets = flags
        .target_modules
        .clone()
        .unwrap_or_else(|| ["q_proj", "k_proj", "v_proj", "o_proj"].map(str::to_owned).to_vec());
    let fields = TermsFields {
        name: name.to_owned(),
        rounds,
        min_contributors: flags.min_contributors,
        committee_size: None,
        weights: Some(weights),
        weight_cap,
        template_date: Some(flags.template_date.unwrap_or_else(TemplateDate::today).to_string()),
        evaluation: flags.evaluation.map(Evaluation::from).unwrap_or_default(),
        stop: flags.stop_after.map(|after| Stop { after, fall: flags.stop_fall.unwrap_or(3) }),
        adapter: Adapter {
            rank,
            alpha: flags.alpha.unwrap_or(2 * rank),
            target_modules: targets,
            first: None,
            rslora: flags.rslora,
        },
        training: Training {
            algorithm: flags.algorithm.unwrap_or(AlgorithmName::Rolora).into(),
            steps_per_round: steps,
            batch_size: flags.batch.unwrap_or(base.batch),
            sequence_length: flags.seq.unwrap_or(base.sequence),
            learning_rate: rate,
            learning_rate_final: positive("--lr-final", final_rate)?,
            rate_ratio: positive("--lr-ratio", flags.lr_ratio.unwrap_or(1.0))?,
            proximal: proximal(flags.proximal.unwrap_or(0.0))?,
            local_optimizer: flags.local_optimizer.map_or_else(LocalOptimizer::default, Into::into),
            max_gradient_norm: positive("gradient norm", 1.0)?,
            template: flags.template.clone().unwrap_or_else(|| "model".to_owned()),
        },
        pruning: pruning(rounds, flags)?,
        encryption: Encryption {
            preset: encryption_preset(flags.bits.as_deref().unwrap_or("16"), members)?,
            clip: positive("--clip", clip)?,
        },
        server_optimizer: server::optimizer(flags)?,
        deadlines: deadlines(flags.round_minutes.unwrap_or(base.round_minutes)),
    };
    Terms::new(fields).map_err(|error| invalid(&error))
}

/// The failure for a field of the terms that is out of range.
pub fn invalid(error: &ManifestError) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, format!("the terms cannot be used: {error}"))
        .next("`fedshield-cli federation new --help` says which flag sets it")
}

fn weights(flags: &TermsFlags) -> Result<(Weights, u32), Failure> {
    match (flags.weights.unwrap_or(WeightsName::Equal), flags.weight_cap) {
        (WeightsName::Equal, None) => Ok((Weights::Equal, 1)),
        (WeightsName::Equal, Some(_)) => {
            let what = "with equal weights there is none to cap";
            Err(Failure::new(ErrorCode::InvalidRequest, what)
                .at("--weight-cap")
                .next("leave it out, or add `--weights declared`"))
        }
        (WeightsName::Declared, cap) => Ok((Weights::Declared, cap.unwrap_or(1024))),
    }
}

fn positive(flag: &str, value: f64) -> Result<Real, Failure> {
    if value > 0.0 {
        return real(flag, value);
    }
    Err(Failure::new(ErrorCode::InvalidRequest, format!("{value} is not above zero"))
        .at(flag)
        .next("give a number above zero"))
}

fn proximal(value: f64) -> Result<Real, Failure> {
    if value < 0.0 {
        let what = format!("{value} would push members apart");
        return Err(Failure::new(ErrorCode::InvalidRequest, what)
            .at("--proximal")
            .next("give 0 or more"));
    }
    // Without the sign of a negative zero, which would be another manifest.
    real("--proximal", value.abs())
}

fn real(flag: &str, value: f64) -> Result<Real, Failure> {
    Real::new(value).ok_or_else(|| {
        Failure::new(ErrorCode::InvalidRequest, format!("{value} is not a finite number"))
            .at(flag)
            .next("give a number in digits, for instance 0.001 or 1e-3")
    })
}

#[cfg(test)]
mod tests;
