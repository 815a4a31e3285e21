//! The FedShield daemon as a library: the one place where protocol, training, encryption and network meet.
//!
//! Read `home` (which file is what), `config`, `identity`, then what is kept (`journal`, `store`, `objects`), how a
//! federation begins (`founding`), how people look in (`control`, `http`), how it runs as a service (`service`).

pub mod config;
pub mod control;
pub mod durable;
pub mod error_code;
pub mod founding;
pub mod home;
pub mod http;
pub mod identity;
pub mod journal;
pub mod objects;
pub mod service;
pub mod store;
