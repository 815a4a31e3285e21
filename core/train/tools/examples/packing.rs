//! Speed-up by packing on examples of very different lengths:
//!
//! `cargo run --release -p fedshield-train-tools --example packing -- MODEL [BATCH]`
//!
//! Trains the same examples with and without packing, five interleaved rounds, and prints the
//! median of each in labelled tokens per second, with the share of computed tokens that were
//! padding.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::ops::ControlFlow;
use std::path::Path;

use fedshield_train::data::{DataSet, Example, TokenizedExample};
use fedshield_train::federated::FederatedSettings;
use fedshield_train::load::LoadedModel;
use fedshield_train::{Progress, TrainSettings, Trainer, Valid};
use fedshield_train_tools::all_labelled;

const ROUNDS: usize = 5;

/// Examples of 16 to 256 tokens, short ones more often than long ones.
fn examples(vocab: usize) -> Vec<TokenizedExample> {
    let empty = || Example::instruction("", "", "");
    (0..256usize)
        .map(|i| {
            let len = 16 + (i * 37 % 256) * (i * 53 % 256) * 240 / (255 * 255);
            let ids = (0..len).map(|j| ((i * 131 + j * 7919 + 13) % vocab) as u32).collect();
            TokenizedExample::whole(empty(), &all_labelled(ids))
        })
        .collect()
}

#[global_allocator]
static ALLOCATOR: fedshield_train::Allocator = fedshield_train::Allocator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    fedshield_train::reuse_freed_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = Path::new(arguments.first().ok_or("name a model")?);
    let batch_size = arguments.get(1).map_or(Ok(16), |text| text.parse())?;
    let trainer = |packing| {
        let settings =
            Valid::new(TrainSettings { batch_size, packing, ..TrainSettings::default() })?;
        Trainer::new(LoadedModel::open(model)?, settings)
    };
    let trainers = [trainer(false)?, trainer(true)?];
    let train = examples(trainers[0].config().vocab_size);
    let mut data = DataSet::default();
    data.train = train;
    let settings = Valid::<FederatedSettings>::default();
    let global = trainers[0].first_adapter(&settings, [0; 32])?;
    let mut measured = [Vec::new(), Vec::new()];
    let mut go_on = |_: &Progress| ControlFlow::Continue(());
    for round in 0..ROUNDS {
        for (trainer, measured) in trainers.iter().zip(&mut measured) {
            let seed = [round as u8; 32];
            let stats = trainer.train_round(&global, &settings, seed, &data, &mut go_on)?.stats;
            let padding = 1.0 - stats.labelled_tokens as f64 / stats.tokens as f64;
            measured.push((stats.labelled_tokens as f64 / stats.seconds, padding, stats.losses));
        }
    }
    for (name, rows) in ["one example a row", "packed"].iter().zip(&mut measured) {
        rows.sort_by(|x, y| x.0.total_cmp(&y.0));
        let (rate, padding, losses) = &rows[ROUNDS / 2];
        let (padding, loss) = (100.0 * padding, losses[0]);
        println!("{name}: {rate:.0} labelled tokens/s, {padding:.0}% padding, loss {loss:.4}");
    }
    Ok(())
}
