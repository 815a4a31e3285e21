//! Simulated FedShield networks. L0 (`l0`): the protocol machine alone, under a seeded event queue.

#![warn(unreachable_pub)]

pub mod l0;
