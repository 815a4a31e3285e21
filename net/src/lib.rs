//! FedShield's network on libp2p.
//!
//! QUIC, and TCP with Noise and Yamux; an allow-list of members; gossipsub for announcements,
//! direct messages, bulk transfer in verified chunks, a join protocol for non-members, and an
//! address book that never gives up. Messages are opaque bytes here. `docs/NETWORK.md` describes
//! the protocols.
//!
//! Reading order: `limits`, `config`, `event`, `handle` (what the daemon sees); `behaviour`,
//! `members_only`, `driver` (the swarm and the task that owns it); `transport`, `admission`
//! (connections before they are authenticated); `bulk` (objects); `presence` (liveness,
//! duplicates).
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod address_book;
mod admission;
mod behaviour;
mod bulk;
mod codec;
mod command;
mod config;
mod connected;
mod connection_budget;
mod driver;
mod error;
mod event;
mod gossip;
mod handle;
mod health;
mod inbound_queue;
mod key;
pub mod limits;
mod listen;
mod members_only;
mod outbound_queue;
mod peer_records;
mod presence;
mod protocols;
mod rate;
mod scope;
mod start;
mod state;
mod stats;
mod tasks;
mod transport;

pub use address_book::{AddressSource, KnownAddress, check_dial};
pub use admission::{IpNetwork, IpNetworkError, RefusedOrigin};
pub use bulk::{Audience, ObjectStore, PartialObject};
pub use config::{NetConfig, SecretKey, Tuning};
pub use error::{
    FetchError, GossipError, JoinError, MembersError, NetClosed, ObjectCallError, SendError,
    StartError,
};
pub use event::{JoinReply, NetEvent};
pub use handle::{Connection, MemberAddr, NetHandle, PeerView};
pub use health::NetHealth;
pub use key::{identity_key_of, peer_id_of};
pub use libp2p::{Multiaddr, PeerId};
pub use listen::check_listen;
pub use outbound_queue::OutboundQueue;
pub use peer_records::AddressStore;
pub use scope::{AddressScope, scope_of};
pub use start::Net;
pub use state::{NetState, Repeated, Waiting};
pub use stats::{Label, NetStats, Traffic};
pub use transport::is_quic;
