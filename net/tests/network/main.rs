//! Real nodes on loopback: every test starts its own, on ports that the system chooses, and waits
//! for events, never for time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod address_changes;
mod backpressure;
mod bulk;
mod byzantine;
mod descriptors;
mod duplicates;
mod flooding;
mod foreign;
mod gossip_recovery;
mod joining;
mod membership;
mod messages;
mod names;
mod namespaces;
mod proxy;
mod quic_handshakes;
mod reconnecting;
mod starting;
mod support;
mod transports;
