//! The comparison that `docs/results` holds: one base model and one data set divided over several
//! members, and each way of training on it, measured by the loss on every member's held-out data.
//!
//! ```text
//! cargo run --example grid -- --out DIR [--model FOLDER|GGUF] [--data A.jsonl,B.jsonl,...] [--template NAME]
//!     [--test A.test.jsonl,B.test.jsonl,...] [--split dirichlet|files] [--members 5]
//!     [--concentration 0.3] [--held-out 0.125] [--seq 160]
//!     [--rounds 16] [--steps 10] [--batch 8] [--rank 16] [--alpha 32] [--targets all|attention]
//!     [--peak 0.008] [--last 0.002] [--eta 2.0] [--clip 1.0]
//!     [--cells base,local,centralised,rolora@0,rolora@0.5,...] [--seeds 1,2,3]
//! ```
//!
//! Each cell of the grid is a file in DIR, written when it is done: a run that was interrupted goes
//! on where it was. `report.md` and `report.svg` are made anew from all files at each end. There is
//! no network here and no encryption: sums are of the integers that the encryption would add, which
//! it adds exactly.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod cell;
mod experiment;
mod options;
mod plot;
mod report;
mod split;

use std::error::Error;

use cell::Cells;
use experiment::Experiment;
use options::Options;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[global_allocator]
static ALLOCATOR: fedshield_train::Allocator = fedshield_train::Allocator;

fn main() -> Outcome<()> {
    fedshield_train::reuse_freed_memory();
    let options = Options::parse(std::env::args().skip(1))?;
    let cells = Cells::open(&options)?;
    for seed in &options.seeds {
        let missing: Vec<_> =
            options.methods()?.into_iter().filter(|method| !cells.has(*seed, *method)).collect();
        if missing.is_empty() {
            continue;
        }
        let experiment = Experiment::open(&options, *seed)?;
        for method in missing {
            let result = experiment.run(method)?;
            println!("seed {seed}, {method}: {:.4} on the union", result.union);
            cells.put(*seed, method, &result)?;
        }
    }
    let results = cells.all()?;
    let text = report::markdown(&results);
    println!("\n{text}");
    std::fs::write(options.out.join("report.md"), text)?;
    std::fs::write(options.out.join("report.svg"), plot::svg(&results))?;
    Ok(())
}
