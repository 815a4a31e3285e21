//! Pretrains the base model that ships with the repository, on the generated corpus, on the CPU.
//!
//! ```text
//! cargo run --example pretrain -- core/train/assets/base --steps 1800
//!     [--seed 10] [--rate 0.004] [--batch 6] [--length 128] [--from FOLDER] [--minutes 30]
//!     [--out FOLDER]
//! ```
//!
//! The folder holds config.json and tokenizer.json (`make_corpus` writes the latter);
//! model.safetensors is written to it, or to the folder of `--out`, in f16. `--from` continues from
//! the weights of another run. The loss is printed in nats per token, together with its floor: the
//! entropy of the generator's choices, which no model can beat.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod optimizer;
mod windows;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fedshield_train::load::{LoadedModel, Precision};
use fedshield_train::model::{BasePrecision, Batch, Decoder, ModelConfig, TokenSequence};
use fedshield_train::{Valid, cpu};
use fedshield_train_tools::{BaseWeights, save_base};
use tokenizers::Tokenizer;

use optimizer::{Optimizer, learning_rate};
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
    steps: usize,
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
            steps: 1800,
            batch: 6,
            length: 128,
            rate: 4e-3,
            seed: 10,
            minutes: 60,
        };
        while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
            match name.as_str() {
                "--out" => settings.out = value.into(),
                "--from" => settings.from = Some(value.into()),
                "--steps" => settings.steps = value.parse()?,
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
        Ok(settings)
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
        None => BaseWeights::random(&config, settings.seed, 0.04),
    };
    println!("{} parameters", weights.parameter_count());
    let validation = Validation::new(&tokenizer, end, 2 * settings.length)?;
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
    println!("step 0: validation {}", validation.report(config, &weights)?);
    for step in 0..settings.steps {
        let sequences = windows_of_step(settings, step, &mut windows)?;
        let batch = Batch::new(&sequences.iter().collect::<Vec<_>>())?;
        let result = decoder(config, &weights)?.base_gradients(&batch)?;
        let rate = learning_rate(step, settings.steps, settings.rate);
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
            println!("stopped after {} minutes", settings.minutes);
            break;
        }
    }
    Ok(weights)
}

/// Every fourth step has half as many windows of twice the length, which is the context of the
/// model: short windows are cheaper, and long ones train the far positions.
fn windows_of_step(
    settings: &Settings,
    step: usize,
    windows: &mut Windows,
) -> Result<Vec<TokenSequence>, Box<dyn Error>> {
    let (count, length) = match step % 4 {
        3 => (settings.batch.div_ceil(2), 2 * settings.length),
        _ => (settings.batch, settings.length),
    };
    (0..count).map(|_| windows.next_full(length)).collect()
}

/// Windows that are never trained on, and their floor.
struct Validation {
    batches: Vec<Batch>,
    floor: f64,
}

impl Validation {
    fn new(tokenizer: &Tokenizer, end: u32, length: usize) -> Result<Self, Box<dyn Error>> {
        let mut windows = Windows::new(tokenizer, end, VALIDATION_SEED);
        let mut sequences = Vec::new();
        let mut floor = 0.0;
        for _ in 0..VALIDATION_WINDOWS {
            let (sequence, nats) = windows.next_whole(length)?;
            sequences.push(sequence);
            floor += nats;
        }
        let batches = sequences
            .chunks(8)
            .map(|part| Batch::new(&part.iter().collect::<Vec<_>>()))
            .collect::<Result<Vec<_>, _>>()?;
        let labels: usize = batches.iter().map(Batch::label_count).sum();
        Ok(Validation { batches, floor: floor / labels as f64 })
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
        Ok(format!("{loss:.4}, floor {:.4}, {labels} tokens", self.floor))
    }
}
