//! The rounds of FedShield as one pure function: `handle(now, event) -> effects`.
//!
//! No IO, no clock, no randomness except what comes in, no tokio. The daemon and the simulators are
//! hosts of the same machine. Read `ids`, `manifest`, `event`, `effect`, `job`, then `round/` in
//! order.
#![warn(unreachable_pub)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod anti_entropy;
pub mod append_log;
mod chain;
mod consensus;
mod context;
pub mod effect;
pub mod election;
pub mod event;
pub mod failed_rounds;
pub mod hash;
pub mod hidden;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod limits;
mod machine;
pub mod manifest;
mod members;
pub mod object;
mod recovery;
pub mod roster;
mod round;
mod settlement;
pub mod sign;
pub mod status;
mod sync;
pub mod wire;

pub use machine::{Config as MachineConfig, Machine};
