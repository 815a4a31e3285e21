//! What joining is worth: one base model, the data of several members in three parts each, and
//! several ways to get an adapter, all with the same number of local steps.
//!
//! ```text
//! cargo run --example joining -- --out DIR --seeds 1,2,3 --measure validation ARM...
//! ```
//!
//! An arm is `KIND:key=value:...`, or `NAME=KIND:...` (`arm.rs` has the kinds and keys). Each pair
//! of seed and arm is a file in DIR, for arms that train each member by itself one for each member;
//! a federation in progress is kept between rounds. So an interrupted run goes on where it was.
//!
//! With `--measure validation` no test example is looked at: settings are chosen by such runs. With
//! `--measure test` test losses are measured too, of what was chosen by validation. There is no
//! network and no encryption here: sums are of the integers that the encryption would add exactly,
//! and bytes are those of the ciphertexts.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod answers;
mod arm;
mod bench;
mod bootstrap;
mod divide;
mod federated;
mod members;
mod options;
mod plot;
mod progress;
mod report;
mod results;
mod rows;
mod state;
mod tables;
#[cfg(test)]
mod tests;

use std::error::Error;

use clap::Parser as _;

use bench::Bench;
use options::Options;
use results::Results;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[global_allocator]
static ALLOCATOR: fedshield_train::Allocator = fedshield_train::Allocator;

fn main() -> Outcome<()> {
    fedshield_train::reuse_freed_memory();
    run(&Options::parse())
}

/// Runs what is missing, then writes the report of everything that was asked for.
fn run(options: &Options) -> Outcome<()> {
    let arms = options.arms()?;
    let bench = Bench::open(options)?;
    let results = Results::open(&options.out, &bench.fingerprint())?;
    for seed in &options.seeds {
        let divided = bench.divide(*seed);
        for arm in &arms {
            divided.run(arm, &arms, &results)?;
        }
    }
    report::write(options, &arms, &bench.names(), &results)
}
