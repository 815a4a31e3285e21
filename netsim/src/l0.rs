//! L0: 4 to 10 real protocol machines under one event queue, with loss, delay, duplication, partitions, crashes and
//! members that lie. Everything follows from the seed; what is checked is in `checkers`, one invariant a file.
//!
//! Each member is the machine of the product with a small host (`node`) whose jobs are make-believe (`content`): a
//! ciphertext is a name, a sum is a sum of names, so that a checker can say whether what was opened is the sum of U.
//! Signatures are stamps here (`signatures`): the subject is the protocol, not the curve.

mod accuser;
mod bundles;
pub mod checkers;
pub mod content;
mod divides;
mod effects;
mod faults;
mod federation;
mod jobs;
mod loss;
mod mix;
mod network;
mod node;
mod proof;
mod queue;
mod random;
mod replays;
mod run;
mod signatures;
mod storm;
mod strike;
mod trace;
mod twofaced;
mod world;

pub use faults::{Away, Crash, Cut, Fault, Going, Partition, Plan};
pub use federation::Federation;
pub use loss::Loss;
pub use run::{Bug, Failure, Options, Outcome, run_seed};
pub use strike::{Moment, Strike};
