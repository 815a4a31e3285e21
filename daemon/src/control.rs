//! The control socket: how the CLI and other programs of the operator talk to a running daemon.

mod address;
pub mod api;
mod caller;
mod client;
mod port;
mod server;

pub use address::MAX_NAME_BYTES as MAX_SOCKET_NAME_BYTES;
pub use client::ControlClient;
pub use port::{COMMAND_QUEUE, ControlCommand, ControlHost, ControlPort, Reply, control_channel};
pub use server::{ControlError, ControlServer};
