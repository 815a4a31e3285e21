//! Who talks to whom: FedShield's network on libp2p.
//!
//! TCP with Noise and Yamux, and QUIC; an allow-list of members; gossip for announcements, direct
//! messages, bulk transfer by verified chunks, a narrow protocol for joiners, and an address book
//! that never gives up. Messages are opaque bytes here. `docs/NETWORK.md` describes the protocols.
//!
//! Reading order: `limits`, `config`, `event`, `handle` (what the daemon sees); `behaviour`, `gate`,
//! `driver` (the swarm and the task that owns it); `bulk` (objects); `presence` (who is at the other end).
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod address_book;
mod addresses;
mod admission;
mod announcing;
mod behaviour;
mod bulk;
mod codec;
mod command;
mod config;
mod connected;
mod descriptors;
mod driver;
mod error;
mod event;
mod gate;
mod gossip;
mod handle;
mod health;
mod inbox;
mod key;
pub mod limits;
mod listen;
mod names;
mod outbox;
mod prefer;
mod presence;
mod protocols;
mod rate;
mod reach;
mod start;
mod state;
mod stats;
mod tasks;
mod transport;

pub use address_book::{AddressSource, KnownAddress, check_dial};
pub use addresses::{AddressStore, NoAddressStore, RecordError};
pub use admission::{Network, NetworkError, RefusedOrigin};
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
pub use outbox::OutboundQueue;
pub use prefer::is_quic;
pub use reach::{Reach, reach_of};
pub use start::Net;
pub use state::{NetState, Repeated, Waiting};
pub use stats::{Label, NetStats, Traffic};
