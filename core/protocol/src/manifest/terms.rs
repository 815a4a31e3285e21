//! The parts of a manifest that say how to train, prune, encrypt and wait.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::Digest;

/// A finite number that the protocol carries and compares by its bits but never computes with.
#[derive(Clone, Copy)]
pub struct Real(f64);

impl Real {
    /// 0.
    pub const ZERO: Self = Self(0.0);
    /// 1.
    pub const ONE: Self = Self(1.0);

    /// `None` for NaN and the infinities.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Real {}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("not a finite number"))
    }
}

/// LoRA shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// Inner dimension of the two factors.
    pub rank: u32,
    /// Numerator of the scale `alpha / rank`.
    pub alpha: u32,
    /// Projections that get an adapter, for instance `q_proj`.
    pub target_modules: Vec<String>,
    /// Digest of the adapter that the first round starts from, which every member brings as files,
    /// as it does the base model. Without it the first factor A is expanded from the federation's
    /// id, and B is zero.
    pub first: Option<Digest>,
    /// rsLoRA: the scale is `alpha / sqrt(rank)`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rslora: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What of an adapter is trained and sent in which round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// B in even applied rounds, A in odd ones; exact under addition.
    Rolora,
    /// B only, A from a public seed; exact under addition.
    Ffa,
    /// A and B, as the paper does; inexact.
    Fedit,
    /// A matrix of rank by rank between two factors from a public seed; exact under addition, the
    /// fewest bytes.
    FedSb,
    /// A in the first half of a round's steps, B in the second, both sent; inexact.
    Halves,
}

/// What a member's optimiser starts a round with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalOptimizer {
    /// Moments of zero.
    #[default]
    Fresh,
    /// The moments of the last applied round of the same factor, which each member keeps at home.
    Kept,
}

impl LocalOptimizer {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
    const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh)
    }
}

/// How a round trains at one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Which factor is trained and sent in which round.
    pub algorithm: Algorithm,
    /// Optimiser steps in one round.
    pub steps_per_round: u32,
    /// Examples in one step.
    pub batch_size: u32,
    /// Longest sequence, in tokens.
    pub sequence_length: u32,
    /// Learning rate of the first round; falls along a cosine over the rounds.
    pub learning_rate: Real,
    /// Learning rate of the last round.
    pub learning_rate_final: Real,
    /// Learning rate of B as a multiple of that of A, which `learning_rate` is; above 0.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rate_ratio: Real,
    /// Pull of each value towards the common one that the round starts from: this times the
    /// distance is added to the gradient; 0 for none.
    #[serde(default = "zero", skip_serializing_if = "is_zero")]
    pub proximal: Real,
    /// What the optimiser starts a round with.
    #[serde(default, skip_serializing_if = "LocalOptimizer::is_fresh")]
    pub local_optimizer: LocalOptimizer,
    /// Gradient norm above which a step is scaled down.
    pub max_gradient_norm: Real,
    /// Prompt template: `alpaca`, `chatml` or `model` (the model's own).
    pub template: String,
}

const fn one() -> Real {
    Real::ONE
}

const fn zero() -> Real {
    Real::ZERO
}

fn is_one(value: &Real) -> bool {
    *value == Real::ONE
}

fn is_zero(value: &Real) -> bool {
    *value == Real::ZERO
}

/// Who chooses the coordinates that are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruningRule {
    /// One mask for all, from earlier sums and the beacon: what is left out costs no bytes.
    #[default]
    Shared,
    /// Each member the smallest weights of each of its own factors, as the paper does: zeros are
    /// encrypted too, so it saves no bytes. Kept for comparison.
    Local,
}

/// Which coordinates travel: the share left out grows from `initial` to `last` between two rounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruning {
    /// Who chooses what is left out.
    #[serde(default)]
    pub rule: PruningRule,
    /// Share left out before `start_round`, 0 to 1.
    pub initial: Real,
    /// Share left out from `end_round` on, 0 to 1.
    pub last: Real,
    /// Applied round in which the share starts to grow.
    pub start_round: u64,
    /// Applied round in which it has reached `last`.
    pub end_round: u64,
    /// Share of the coordinates drawn by the beacon whatever their size, 0 to 1.
    pub explore: Real,
    /// Memory of the importance score, 0 to 1.
    pub memory: Real,
}

/// How updates are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// Name of the parameter set, for instance `rlwe-sum/b16/n16`.
    pub preset: String,
    /// Clipping bound of one coordinate of an update, in multiples of `learning_rate *
    /// steps_per_round`: what the optimiser can move a weight in one round.
    pub clip: Real,
}

/// Whether members measure together how well the common adapter does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evaluation {
    /// Each for itself; nothing of it is sent.
    #[default]
    Off,
    /// The mean of the members' losses over the base model's is opened with each sum, and is part
    /// of the record.
    Mean,
}

impl Evaluation {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
    pub(super) const fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }
}

/// When the members' own measurements end the training before its last round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Applied rounds without a better number of its own after which a member says that it has
    /// stopped improving.
    pub after: u32,
    /// Rounds that still train once a quorum has said so, while the learning rate falls to that of
    /// the last round.
    pub fall: u32,
}

/// What happens to the opened mean before it is added to the global factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerOptimizer {
    /// Adds `rate` times the mean.
    Plain {
        /// Server learning rate; 1 is federated averaging.
        rate: Real,
    },
    /// Adds `rate` times a running sum of means.
    Momentum {
        /// Server learning rate.
        rate: Real,
        /// Share of the running sum that is kept, 0 to 1.
        momentum: Real,
    },
    /// Adam on the mean: adds `rate` times the running mean over the root of the running mean
    /// square.
    Adam {
        /// Server learning rate: about the largest step of a value in one round.
        rate: Real,
        /// Share of the running mean that is kept, 0 to 1.
        beta1: Real,
        /// Share of the running mean square that is kept, 0 to 1.
        beta2: Real,
        /// Added to the root; above 0.
        epsilon: Real,
    },
    /// Adds `rate` times the mean and `momentum` times the running sum that it is part of: Nesterov's momentum.
    Nesterov {
        /// Server learning rate.
        rate: Real,
        /// Share of the running sum that is kept, 0 to 1.
        momentum: Real,
    },
}

/// How long each phase waits for members that are late, in milliseconds. A phase ends sooner when
/// nobody is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// From the start of the round to the last commitment that counts.
    pub commit_ms: u64,
    /// From there to the report of what has arrived.
    pub transfer_ms: u64,
    /// One view of a decision; grows linearly with the view.
    pub view_ms: u64,
    /// From the decision to the conclusion without an opened sum.
    pub decrypt_ms: u64,
    /// From the start of the round until members vote to skip it.
    pub round_ms: u64,
}

/// Bytes as base64 text in TOML and JSON, as bytes elsewhere.
pub(crate) mod base64_bytes {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes `bytes`.
    ///
    /// # Errors
    /// Whatever the serializer returns.
    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&BASE64.encode(bytes))
        } else {
            serde::Serialize::serialize(bytes, serializer)
        }
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// If the text is not base64.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            BASE64.decode(text.as_bytes()).map_err(de::Error::custom)
        } else {
            Vec::<u8>::deserialize(deserializer)
        }
    }
}
