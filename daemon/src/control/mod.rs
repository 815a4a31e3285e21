//! The control socket: how people and the CLI talk to a running daemon.

pub mod api;
