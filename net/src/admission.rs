//! Admission control for inbound connections, before and during the handshake: a token bucket and a
//! bounded number of slots for each origin.
//!
//! Before the handshake no peer is authenticated, so connections are accounted to the network that
//! they come from. A new connection that is within its origin's rate always gets a slot. If all
//! slots are taken, a connection of the origin that holds the most is evicted, one that has sent
//! nothing first. A flood therefore evicts its own connections, and an honest handshake, which
//! takes a few round trips, completes before it is the oldest.

mod control;
mod handshake;
mod origin;
mod refusals;
mod slots;

pub(crate) use control::{AdmissionControl, TransportKind};
pub(crate) use handshake::{first_byte_flag, run_handshake};
pub use origin::{IpNetwork, IpNetworkError};
pub(crate) use origin::{Origin, ip_of};
pub use refusals::RefusedOrigin;
pub(crate) use slots::SlotLimits;
