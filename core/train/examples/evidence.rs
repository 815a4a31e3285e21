//! What federating gains with the shipped model and data: each member's held-out loss of the base,
//! of an adapter trained alone, and of the federated one, in plaintext (the sums are quantised as
//! the encryption needs them).
//!
//! ```text
//! cargo run --example evidence -- [--model FOLDER] [--data FOLDER]
//!     [--rounds 16] [--steps 10] [--batch 8] [--rank 16] [--alpha 32] [--peak 0.008] [--last 0.002]
//!     [--eta 2.0] [--clip 1.0] [--targets attention|all] [--prune-start 0.2] [--prune-end 0.5]
//!     [--seeds 1,2,3] [--alone false] [--json FILE]
//! ```
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fedshield_train::data::{DataSet, DataSettings, TokenizedExample};
use fedshield_train::federated::{
    AdapterSpec, FederatedSettings, GlobalAdapter, LearningRate, LocalMemory, OpenedSum,
    PruneSchedule, ServerOptimizer,
};
use fedshield_train::model::Projection;
use fedshield_train::synth::Domain;
use fedshield_train::text::Template;
use fedshield_train::{Sampling, TrainSettings, Trainer};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The largest weight of a member, and the bits of a sent value, as the demo has them.
const WEIGHT_CAP: u64 = 1;
const BITS: u32 = 16;

struct Options(BTreeMap<String, String>);

impl Options {
    fn parse() -> Outcome<Self> {
        let mut options = BTreeMap::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let name = name.strip_prefix("--").ok_or("options start with --")?.to_owned();
            options.insert(name, arguments.next().ok_or("every option has a value")?);
        }
        Ok(Options(options))
    }

    fn get<T: std::str::FromStr>(&self, name: &str, default: T) -> Outcome<T>
    where
        T::Err: Error + 'static,
    {
        self.0.get(name).map_or(Ok(default), |text| Ok(text.parse()?))
    }

    fn path(&self, name: &str, default: &str) -> PathBuf {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(default);
        self.0.get(name).map_or(shipped, PathBuf::from)
    }

    fn federated(&self) -> Outcome<(FederatedSettings, u64)> {
        let rounds = self.get("rounds", 16)?;
        let targets = match self.0.get("targets").map(String::as_str) {
            Some("attention") => Projection::ATTENTION.to_vec(),
            _ => Projection::ALL.to_vec(),
        };
        let settings = FederatedSettings {
            adapter: AdapterSpec {
                rank: self.get("rank", 16)?,
                alpha: self.get("alpha", 32.0)?,
                target_modules: targets,
            },
            steps: self.get("steps", 10)?,
            clip_factor: self.get("clip", 1.0)?,
            server: ServerOptimizer::Plain { eta: self.get("eta", 2.0)? },
            learning_rate: LearningRate {
                peak: self.get("peak", 8e-3)?,
                last: self.get("last", 2e-3)?,
                rounds,
            },
            prune: PruneSchedule {
                start_rate: self.get("prune-start", 0.2)?,
                end_rate: self.get("prune-end", 0.5)?,
                ..PruneSchedule::for_run(rounds)
            },
            ..FederatedSettings::default()
        };
        settings.check()?;
        Ok((settings, rounds))
    }
}

fn main() -> Outcome<()> {
    let options = Options::parse()?;
    let (settings, rounds) = options.federated()?;
    let train = TrainSettings { batch_size: options.get("batch", 8)?, ..TrainSettings::default() };
    let trainer = Trainer::open(&options.path("model", "base"), train)?;
    let folder = options.path("data", "domains");
    let mut data = Vec::new();
    for domain in Domain::ALL {
        let paths = [folder.join(format!("{}.jsonl", domain.name()))];
        let how = DataSettings { template: Template::Alpaca, max_length: 160, held_out: 0.125 };
        data.push(DataSet::load(&paths, trainer.tokenizer(), &how)?);
    }
    let seeds = options.0.get("seeds").map_or("1,2,3", String::as_str);
    let mut runs = Vec::new();
    for seed in seeds.split(',') {
        let alone = options.get("alone", true)?;
        let (trainer, settings, data) = (&trainer, &settings, &data);
        let experiment = Experiment { trainer, settings, rounds, data, alone };
        runs.push(experiment.run(seed.parse()?)?);
    }
    if let Some(path) = options.0.get("json") {
        std::fs::write(path, serde_json::to_string_pretty(&json!({ "runs": runs }))?)?;
    }
    Ok(())
}

struct Experiment<'a> {
    trainer: &'a Trainer,
    settings: &'a FederatedSettings,
    rounds: u64,
    data: &'a [DataSet],
    /// Whether adapters are trained on one member's data too.
    alone: bool,
}

impl Experiment<'_> {
    fn run(&self, seed: u64) -> Outcome<Value> {
        let begin = Instant::now();
        let first = self.trainer.first_adapter(self.settings, seed_bytes([seed, 0, 0]))?;
        let federated = self.federated(&first, seed)?;
        let federated_seconds = begin.elapsed().as_secs_f64();
        let mut table = BTreeMap::new();
        table.insert("base".to_owned(), self.losses(None)?);
        let alone = if self.alone { &Domain::ALL[..] } else { &[] };
        for (member, domain) in alone.iter().enumerate() {
            let adapter = self.local(&first, seed, member)?;
            table.insert(format!("local {}", domain.name()), self.losses(Some(&adapter))?);
        }
        table.insert("federated".to_owned(), self.losses(Some(&federated))?);
        let seconds = begin.elapsed().as_secs_f64();
        let verdict = verdict(&table);
        println!("\nseed {seed}: {federated_seconds:.0} s federated, {seconds:.0} s in all");
        print!("{:16}", "held out at");
        Domain::ALL.into_iter().for_each(|domain| print!("{:>10}", domain.name()));
        println!("{:>10}", "union");
        for (name, losses) in &table {
            print!("{name:16}");
            losses.iter().for_each(|loss| print!("{loss:10.4}"));
            println!();
        }
        println!(
            "federated under base by at least {:.1}% at each member; under the best local-only \
            adapter by {:.1}% on \
             the union",
            100.0 * verdict.0,
            100.0 * verdict.1
        );
        self.samples(&federated)?;
        Ok(json!({
            "seed": seed, "held_out_loss": table, "gain_over_base": verdict.0,
            "gain_over_local_on_union": verdict.1, "seconds": seconds,
            "adapter_digest": hex(&federated.digest()),
        }))
    }

    fn federated(&self, first: &GlobalAdapter, seed: u64) -> Outcome<GlobalAdapter> {
        let mut global = first.clone();
        let mut memories: Vec<LocalMemory> =
            self.data.iter().map(|_| LocalMemory::new(global.layout())).collect();
        for t in 0..self.rounds {
            let clip = self.settings.clip(t);
            let scale = self.settings.scale(t, BITS, WEIGHT_CAP);
            let mask = global.mask(self.settings, seed_bytes([seed, t, 1]));
            let mut sum = vec![0i64; mask.len()];
            for (member, memory) in memories.iter_mut().enumerate() {
                let theta = self.round(&global, seed, member)?;
                let update = memory.prune(&global, &theta, mask.clone(), clip)?;
                let quantised: Vec<i64> =
                    update.values.iter().map(|x| (scale * f64::from(*x)).round() as i64).collect();
                sum.iter_mut().zip(&quantised).for_each(|(sum, q)| *sum += q);
                let sent: Vec<f32> = quantised.iter().map(|q| (*q as f64 / scale) as f32).collect();
                memory.spend(t, &mask, &sent)?;
            }
            let members = self.data.len() as u64;
            let opened = OpenedSum {
                values: &sum,
                scale,
                weight_sum: members,
                contributors: members,
                weight_cap: WEIGHT_CAP,
            };
            global = global.apply(self.settings, &mask, &opened)?;
        }
        Ok(global)
    }

    /// The same number of steps at the same rates on one member's data alone.
    fn local(&self, first: &GlobalAdapter, seed: u64, member: usize) -> Outcome<GlobalAdapter> {
        let mut adapter = first.clone();
        for _ in 0..self.rounds {
            let theta = self.round(&adapter, seed, member)?;
            adapter = adapter.with_trained(&theta)?;
        }
        Ok(adapter)
    }

    fn round(&self, adapter: &GlobalAdapter, seed: u64, member: usize) -> Outcome<Vec<f32>> {
        let order = seed_bytes([seed, adapter.t(), 2 + member as u64]);
        let mut quiet = |_: &_| ControlFlow::Continue(());
        let data = &self.data[member];
        Ok(self.trainer.train_round(adapter, self.settings, order, data, &mut quiet)?.theta)
    }

    /// The loss on each member's held-out examples, then on all of them together.
    fn losses(&self, adapter: Option<&GlobalAdapter>) -> Outcome<Vec<f64>> {
        let mut losses = Vec::new();
        let (mut sum, mut tokens) = (0.0, 0);
        for data in self.data {
            let evaluation = self.trainer.evaluate(adapter, &data.held_out)?;
            sum += evaluation.loss * evaluation.tokens as f64;
            tokens += evaluation.tokens;
            losses.push(evaluation.loss);
        }
        losses.push(sum / tokens as f64);
        Ok(losses)
    }

    fn samples(&self, federated: &GlobalAdapter) -> Outcome<()> {
        for data in self.data {
            let Some(TokenizedExample { example, .. }) = data.held_out.first() else { continue };
            let how = Sampling { max_tokens: 96, ..Sampling::default() };
            let answer = |adapter| self.trainer.answer(adapter, Template::Alpaca, example, &how);
            println!("  before: {}", answer(None)?.trim());
            println!("  after:  {}", answer(Some(federated))?.trim());
        }
        Ok(())
    }
}

/// The smallest gain of the federated adapter over the base at any member, and its gain over the
/// best local-only adapter on the union, as fractions.
fn verdict(table: &BTreeMap<String, Vec<f64>>) -> (f64, f64) {
    let (base, federated) = (&table["base"], &table["federated"]);
    let members = base.len() - 1;
    let gains = (0..members).map(|m| 1.0 - federated[m] / base[m]);
    let locals = table.iter().filter(|(name, _)| name.starts_with("local"));
    let best = locals.map(|(_, losses)| losses[members]).fold(f64::INFINITY, f64::min);
    (gains.fold(f64::INFINITY, f64::min), 1.0 - federated[members] / best)
}

fn seed_bytes(parts: [u64; 3]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, part) in bytes.chunks_exact_mut(8).zip(parts) {
        chunk.copy_from_slice(&part.to_le_bytes());
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
