//! The rounds of FedShield as one pure function: `handle(now, event) -> effects`.
//!
//! No IO, no clock, no randomness except what comes in, no tokio. The daemon and the simulators are hosts of
//! the same machine. Read `ids`, `manifest`, `event`, `effect`, `job`, then `round/` in order.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod effect;
pub mod event;
pub mod hash;
pub mod ids;
pub mod job;
pub mod manifest;
pub mod object;
pub mod record;
pub mod status;
