//! Whole rounds, with access to what only liars would touch.

mod federation;
mod hostile;
mod liars;
mod opening;
mod sharing;
pub(crate) mod statistics;
mod sums;
mod vectors;
mod wrong_answers;

pub(crate) use federation::{index, rng, sharing};
