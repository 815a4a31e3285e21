//! The federated part: which factors are trained when, what is sent, and how an opened sum is
//! applied.
//!
//! [`GlobalAdapter`] is the same at all members, bit for bit; [`LocalMemory`] never leaves its
//! member.

mod algorithm;
mod apply;
mod bounds;
mod codec;
mod global;
mod layout;
mod local;
mod mask;
mod middle;
mod prune;
mod rates;
mod schedule;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use apply::{Rejection, UpdateSum};
pub use bounds::RoundBounds;
pub(crate) use codec::{Reader, put_floats};
pub use global::GlobalAdapter;
pub use layout::{AdapterLayout, AdapterSpec, Factor, ModuleShape};
pub use mask::Mask;
pub(crate) use middle::gradient_of_r;
pub use prune::{LocalMemory, PrunedUpdate};
pub use rates::StepRates;
pub use schedule::{LearningRate, PruneRule, PruneSchedule};
pub use server::ServerOptimizer;
pub use settings::{FederatedSettings, LocalOptimizer};
