//! The presence protocol: whether each connection of a member is alive, which process is at its
//! other end, and whether gossip is received there.
//!
//! A hello is sent over every connection at regular intervals (`wire`, `upgrade`, `behaviour`), and
//! at once over all connections of a member that has made another one. The answer shows that this
//! very connection is alive, which process is at its other end (a random id drawn at its start),
//! and whether it receives our announcements. `instances` derives from this whether two processes
//! use one identity. `driver::presence` acts on it.

mod behaviour;
mod instances;
mod upgrade;
mod wire;

pub(crate) use behaviour::{Outcome, Presence, PresenceEvent};
pub(crate) use instances::{Instances, SharedInstances};
pub(crate) use wire::Hello;
