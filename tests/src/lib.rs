//! Real federations for the end-to-end tests: real homes, real daemon processes, the real command
//! line.

mod daemon;
mod federation;
pub mod fuzz;
mod parties;
mod program;
mod small_disk;
mod steps;
mod work;

pub use daemon::Daemon;
pub use federation::{Federation, Terms, eventually, expected, make_home, phrase_of};
pub use parties::{Party, carry, contribution, parties, party, run};
pub use program::{Program, Run, signal};
pub use small_disk::SmallDisk;
pub use steps::Step;
pub use work::Work;
