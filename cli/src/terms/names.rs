//! The values of flags that name one of several ways to do something.

use clap::ValueEnum;
use fedshield_protocol::manifest::{Algorithm, Evaluation, LocalOptimizer};

/// `--algorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmName {
    /// B in even rounds, A in odd ones; exact, half the bytes.
    Rolora,
    /// B only; exact, the right one with differential privacy.
    Ffa,
    /// A and B, as the paper does; inexact.
    Fedit,
    /// A matrix of rank x rank between two fixed factors; exact, the fewest bytes, learns less.
    FedSb,
    /// A in one half of a round's steps, B in the other, both sent; inexact.
    Halves,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Rolora => Self::Rolora,
            AlgorithmName::Ffa => Self::Ffa,
            AlgorithmName::Fedit => Self::Fedit,
            AlgorithmName::FedSb => Self::FedSb,
            AlgorithmName::Halves => Self::Halves,
        }
    }
}

/// `--local-optimizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LocalOptimizerName {
    /// Starts every round with moments of zero.
    Fresh,
    /// Goes on with the moments of the last applied round, which each member keeps at home, sealed.
    Kept,
}

impl From<LocalOptimizerName> for LocalOptimizer {
    fn from(name: LocalOptimizerName) -> Self {
        match name {
            LocalOptimizerName::Fresh => Self::Fresh,
            LocalOptimizerName::Kept => Self::Kept,
        }
    }
}

/// `--pruning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PruningName {
    /// One mask for all members, from earlier sums: saves bytes.
    Shared,
    /// Each member's own smallest weights, as the paper does: saves no bytes, for comparison.
    Local,
}

/// What the weights of updates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightsName {
    /// One for each member.
    Equal,
    /// What each member's `weight` says, by custom its number of examples: shown to all founders before they sign.
    Declared,
}

/// `--evaluation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EvaluationName {
    /// The mean of the members' losses over the base model's is opened with each sum and is part of
    /// the record: every member needs 16 held-out examples.
    Mean,
    /// Each member for itself; nothing of it is sent.
    Off,
}

impl From<EvaluationName> for Evaluation {
    fn from(name: EvaluationName) -> Self {
        match name {
            EvaluationName::Mean => Self::Mean,
            EvaluationName::Off => Self::Off,
        }
    }
}
