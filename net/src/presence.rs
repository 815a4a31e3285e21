//! Whether each connection of a member still leads to somebody, to whom, and whether gossip passes.
//!
//! Over every connection a node says hello now and then (`wire`, `upgrade`, `behaviour`), and at once over all
//! connections of a member that has made another one. The answer shows that this very connection is alive, which process
//! is at its other end (a number drawn at start), and whether our announcements are heard there. `copies` finds out from
//! this whether one identity is used by two processes at once. What follows from it is done in `driver::presence`.

mod behaviour;
mod copies;
mod upgrade;
mod wire;

pub(crate) use behaviour::{Outcome, Presence, PresenceEvent};
pub(crate) use copies::{Copies, SharedCopies};
pub(crate) use wire::Hello;
