//! Pretrains the base model that ships with the repository, on the generated corpus, on the CPU.
//!
//! ```text
//! cargo run --example pretrain -- core/train/assets/base --steps 9000 --decay 2500
//!     [--seed 10] [--rate 0.003] [--batch 4] [--length 256] [--from FOLDER --done STEPS]
//!     [--minutes 30] [--out FOLDER]
//! ```
//!
//! The folder holds config.json and tokenizer.json (`make_corpus` writes the latter);
//! model.safetensors is written to it, or to the folder of `--out`, in f16, every 250 steps and at
//! the end. The learning rate is constant until it falls over the last `--decay` steps, so a run
//! that was interrupted, or whose end was not known when it began, goes on from what it wrote:
//! `--from` names the folder, `--done` the steps that it took, which fix the text that comes next.
//! The optimiser's moments are not kept; the rate rises again over a hundred steps in their place.
//! The loss is printed in nats per token, beside the surprise of the generator's choices: an upper
//! bound of the text's entropy, because different choices can make the same text.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod optimizer;
mod windows;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fedshield_train::load::{LoadedModel, Precision};
use fedshield_train::model::{BasePrecision, Batch, Decoder, ModelConfig, TokenSequence};
use fedshield_train::{Valid, cpu};
use fedshield_train_tools::{BaseWeights, copying_weights, save_base};
use tokenizers::Tokenizer;

use optimizer::{Optimizer, Schedule};
use windows::Windows;

/// Seed of the windows that are never trained on: no training run uses it.
const VALIDATION_SEED: u64 = 2;
const VALIDATION_WINDOWS: usize = 48;
const REPORT_EVERY: usize = 50;
const VALIDATE_EVERY: usize = 250;

struct Settings {
    folder: PathBuf,
    out: PathBuf,
    from: Option<PathBuf>,
    done: usize,
    steps: usize,
    decay: usize,
    batch: usize,
    length: usize,
    rate: f64,
    seed: u64,
    minutes: u64,
}

impl Settings {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let folder =
            PathBuf::from(arguments.next().ok_or("usage: pretrain FOLDER [--steps N] ...")?);
        let mut settings = Settings {
            out: folder.clone(),
            folder,
            from: None,
            done: 0,
            steps: 9000,
            decay: 2500,
            batch: 4,
            length: 256,
            rate: 3e-3,
            seed: 10,
            minutes: 60,
        };
        while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
            match name.as_str() {
                "--out" => settings.out = value.into(),
                "--from" => settings.from = Some(value.into()),
                "--done" => settings.done = value.parse()?,
                "--steps" => settings.steps = value.parse()?,
                "--decay" => settings.decay = value.parse()?,
                "--batch" => settings.batch = value.parse()?,
                "--length" => settings.length = value.parse()?,
                "--rate" => settings.rate = value.parse()?,
                "--seed" => settings.seed = value.parse()?,
                "--minutes" => settings.minutes = value.parse()?,
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        if settings.seed == VALIDATION_SEED {
            return Err("this seed is for validation".into());
        }
        if settings.from.is_some() != (settings.done > 0) {
            return Err("--from and --done go together".into());
        }
        if settings.done + settings.decay > settings.steps {
            return Err("--decay is longer than the steps that are left".into());
        }
        Ok(settings)
    }

    /// The learning rate of a step.
    fn schedule(&self) -> Schedule {
        let Self { done: first, steps, decay, rate: peak, .. } = *self;
        Schedule { first, steps, decay, peak }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::parse()?;
    let path = settings.folder.join("config.json");
    let config = ModelConfig::from_json(&std::fs::read_to_string(&path)?, &path)?;
    let tokenizer =
        Tokenizer::from_file(settings.folder.join("tokenizer.json")).map_err(|e| e.to_string())?;
    let end = *config.eos_token_ids.first().ok_or("config.json names no eos_token_id")?;
    let weights = match &settings.from {
        Some(folder) => BaseWeights::read(&config, LoadedModel::open(folder)?.weights.as_ref())?,
        None => copying_weights(&config, settings.seed),
    };
    println!("{} parameters", weights.parameter_count());
    let validation = Validation::new(&tokenizer, end, settings.length)?;
    let training = Windows::new(&tokenizer, end, settings.seed);
    let weights = train(&settings, &config, weights, training, &validation)?;
    Ok(save_base(&settings.out, &weights, Precision::F16)?)
}

/// The weights are copied to the device in each step, which is cheap beside the step itself for a
/// model this small.
fn decoder(config: &Valid<ModelConfig>, weights: &BaseWeights) -> Result<Decoder, Box<dyn Error>> {
    Ok(Decoder::load(config, weights, &cpu(), BasePrecision::F32)?)
}

fn train(
    settings: &Settings,
    config: &Valid<ModelConfig>,
    mut weights: BaseWeights,
    mut windows: Windows,
    validation: &Validation,
) -> Result<BaseWeights, Box<dyn Error>> {
    let mut optimizer = Optimizer::default();
    let start = Instant::now();
    let (mut sum, mut tokens) = (0.0, 0);
    println!("step {}: validation {}", settings.done, validation.report(config, &weights)?);
    for _ in 0..settings.done {
        windows_of_step(settings, &mut windows)?;
    }
    for step in settings.done..settings.steps {
        let sequences = windows_of_step(settings, &mut windows)?;
        let batch = Batch::new(&sequences.iter().collect::<Vec<_>>())?;
        let result = decoder(config, &weights)?.base_gradients(&batch)?;
        let rate = settings.schedule().rate(step);
        let norm = optimizer.step(&mut weights, &result.gradients, rate);
        sum += result.loss;
        tokens += batch.token_count();
        let done = step + 1;
        if done % REPORT_EVERY == 0 {
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "step {done}: loss {:.4}, gradient {norm:.3}, rate {rate:.2e}, {tokens} \
                tokens, {seconds:.0} s, \
                 {:.0} tokens/s",
                sum / REPORT_EVERY as f64,
                tokens as f64 / seconds
            );
            sum = 0.0;
        }
        if done % VALIDATE_EVERY == 0 || done == settings.steps {
            println!("step {done}: validation {}", validation.report(config, &weights)?);
            save_base(&settings.out, &weights, Precision::F16)?;
        }
        if start.elapsed() > Duration::from_secs(settings.minutes * 60) {
            save_base(&settings.out, &weights, Precision::F16)?;
            println!("stopped at step {done}, after {} minutes", settings.minutes);
            break;
        }
    }
    Ok(weights)
}

/// The windows of one step.
fn windows_of_step(
    settings: &Settings,
    windows: &mut Windows,
) -> Result<Vec<TokenSequence>, Box<dyn Error>> {
    (0..settings.batch).map(|_| windows.next_full(settings.length)).collect()
}

/// Windows that are never trained on, and the surprise of their choices in nats per token.
struct Validation {
    batches: Vec<Batch>,
    surprise: f64,
}

impl Validation {
    fn new(tokenizer: &Tokenizer, end: u32, length: usize) -> Result<Self, Box<dyn Error>> {
        let mut windows = Windows::new(tokenizer, end, VALIDATION_SEED);
        let mut sequences = Vec::new();
        let mut surprise = 0.0;
        for _ in 0..VALIDATION_WINDOWS {
            let (sequence, nats) = windows.next_whole(length)?;
            sequences.push(sequence);
            surprise += nats;
        }
        let batches = sequences
            .chunks(8)
            .map(|part| Batch::new(&part.iter().collect::<Vec<_>>()))
            .collect::<Result<Vec<_>, _>>()?;
        let labels: usize = batches.iter().map(Batch::label_count).sum();
        Ok(Validation { batches, surprise: surprise / labels as f64 })
    }

    fn report(
        &self,
        config: &Valid<ModelConfig>,
        weights: &BaseWeights,
    ) -> Result<String, Box<dyn Error>> {
        let decoder = decoder(config, weights)?;
        let (mut sum, mut labels) = (0.0, 0);
        for batch in &self.batches {
            sum += decoder.base_loss(batch)? * batch.label_count() as f64;
            labels += batch.label_count();
        }
        let loss = sum / labels as f64;
        Ok(format!("{loss:.4}, surprise {:.4}, {labels} tokens", self.surprise))
    }
}
