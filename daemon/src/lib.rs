//! The FedShield daemon as a library: the one place where protocol, training, encryption and network meet.

pub mod control;
pub mod error_code;
