//! Real nodes on loopback: every test starts its own, on ports that the system chooses, and waits
//! for events, never for time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bulk;
mod elsewhere;
mod flooding;
mod halves;
mod joining;
mod liars;
mod membership;
mod messages;
mod moving;
mod names;
mod proxy;
mod reconnecting;
mod room;
mod second_copy;
mod silence;
mod slow;
mod starting;
mod support;
mod transports;
