//! Whole rounds, with access to internals that only faulty members would use.

mod federation;
mod hostile;
mod malicious;
mod opening;
mod sharing;
pub(crate) mod statistics;
mod sums;
mod vectors;
mod wrong_answers;

pub(crate) use federation::{index, rng, sharing};
