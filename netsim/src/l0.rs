//! L0: 4 to 10 real protocol machines under one event queue, with loss, delay, duplication,
//! partitions, crashes and Byzantine members. A run is a function of its seed; the invariants are
//! in `checkers`, one a file.
//!
//! Each member is the protocol machine of the product with a small host (`node`) whose jobs are
//! simulated (`content`): a ciphertext is a name, a sum is a sum of names, so that a checker can
//! tell whether what was opened is the sum of U. Signatures are placeholders (`signatures`): the
//! protocol is under test, not the curve.

mod byzantine;
pub mod checkers;
pub mod content;
mod crash_storm;
mod effects;
mod evidence;
mod fast_hash;
mod faults;
mod federation;
mod jobs;
mod loss;
mod network;
mod node;
mod queue;
mod random;
mod run;
mod signatures;
mod trace;
mod triggered_crash;
mod world;

pub use faults::{Absence, AbsenceKind, Crash, Cut, Fault, Partition, Plan};
pub use federation::Federation;
pub use loss::Loss;
pub use run::{Bug, Failure, Options, Outcome, run_seed};
pub use triggered_crash::{Milestone, TriggeredCrash};
