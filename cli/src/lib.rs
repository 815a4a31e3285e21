//! The FedShield command line: commands that talk to a running daemon over its control socket, the few that need
//! none, and `demo`, which is this program several times.
//!
//! Read `args`, `run`, then `command/`; `demo.rs` runs a federation from beginning to end.
#![warn(unreachable_pub)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod args;
pub mod command;
pub mod connection;
pub mod demo;
pub mod failure;
pub mod interrupt;
pub mod offline;
pub mod passphrase;
pub mod run;
pub mod screen;
pub mod table;
pub mod terms;
pub mod units;
