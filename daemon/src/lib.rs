//! The FedShield daemon as a library: the one place where protocol, training, encryption and
//! network meet.
//!
//! Start with `home` (the files), `config` and `identity`, then persistent data (`journal`,
//! `store`, `objects`), founding a federation (`founding`), the operators' interfaces (`control`,
//! `http`, `offline`), and running as a service (`service`).
#![warn(unreachable_pub)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod adapter_export;
mod comparing;
pub mod conditions;
pub mod config;
pub mod control;
pub mod descriptors;
pub mod durable;
pub mod encryption;
pub mod error_code;
pub mod evidence;
pub mod first_adapter;
pub mod founding;
pub mod home;
pub mod http;
pub mod identity;
pub mod journal;
pub mod objects;
pub mod private;
pub mod service;
pub mod store;

pub mod host;
pub mod jobs;
pub mod learning;
pub mod node;
pub mod offline;
pub mod program;
mod randomness;
mod sealing_keys;
mod serve;
pub mod terms;
mod users;

pub use fedshield_train::{Allocator, reuse_freed_memory};
pub use randomness::RandomnessError;

/// Must be called first in `main` of every program that runs a node. A node may have started this
/// process to try a GPU, or to end a trainer whose daemon is gone; then this does that and ends the
/// process.
pub fn answer_own_calls() {
    fedshield_train::answer_device_probe();
    learning::answer_guard();
}

/// An error and its causes, on one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent errors repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
