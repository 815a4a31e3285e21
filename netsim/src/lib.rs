//! Simulated FedShield networks. L0 (`l0`): the protocol machine alone, under a seeded event queue.

pub mod l0;
