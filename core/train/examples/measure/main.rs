//! Speed and memory of local training.
//!
//! ```text
//! cargo run --release -p fedshield-train --example measure -- --model PATH --rank 32 --batch 2 --seq 128 \
//!     --steps 5 --threads 2 --json
//! ```
//!
//! Every position is labelled, on token ids that depend on nothing. `--model shape:135m` measures random
//! weights in the shape of SmolLM2-135M, for machines without the model. `--checkpoint` computes each layer's
//! activations again in the backward pass instead of keeping them. `--base-precision q8` holds the frozen matrices
//! in fewer bits.

#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod weights;

use std::path::Path;
use std::time::Instant;

use fedshield_train::federated::{
    AdapterLayout, AdapterSpec, Factor, FederatedSettings, GlobalAdapter,
};
use fedshield_train::load::LoadedModel;
use fedshield_train::model::{
    BasePrecision, Batch, Decoder, ModelConfig, StageSeconds, TokenSequence,
};
use fedshield_train::{AdamW, AdamWSettings, ComputeDevice, adapter_gradient, clip_global_norm};
use weights::Drawn;

struct Arguments {
    model: String,
    rank: usize,
    batch: usize,
    seq: usize,
    steps: usize,
    threads: usize,
    device: String,
    factors: String,
    checkpoint: bool,
    base_precision: BasePrecision,
    json: bool,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut parsed = Self {
            model: "shape:135m".to_owned(),
            rank: 32,
            batch: 2,
            seq: 128,
            steps: 5,
            threads: 0,
            device: "cpu".to_owned(),
            factors: "ab".to_owned(),
            checkpoint: false,
            base_precision: BasePrecision::F32,
            json: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => parsed.json = true,
                "--checkpoint" => parsed.checkpoint = true,
                _ => {}
            }
            if matches!(word.as_str(), "--json" | "--checkpoint") {
                continue;
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            let number = || value.parse().map_err(|_| format!("{word} {value}: not a number"));
            match word.as_str() {
                "--model" => parsed.model = value,
                "--rank" => parsed.rank = number()?,
                "--batch" => parsed.batch = number()?,
                "--seq" => parsed.seq = number()?,
                "--steps" => parsed.steps = number()?,
                "--threads" => parsed.threads = number()?,
                "--device" => parsed.device = value,
                "--factors" => parsed.factors = value,
                "--base-precision" => {
                    parsed.base_precision =
                        value.parse().map_err(|e: fedshield_train::TrainError| e.to_string())?;
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(parsed)
    }
}

/// SmolLM2-135M's shape.
const SHAPE_135M: &str = r#"{"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
    "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "max_position_embeddings": 8192,
    "tie_word_embeddings": true}"#;

fn open(arguments: &Arguments) -> Result<Decoder, Box<dyn std::error::Error>> {
    let device: ComputeDevice = serde_json::from_value(arguments.device.as_str().into())?;
    let device = device.open()?;
    if arguments.model == "shape:135m" {
        let config = ModelConfig::from_json(SHAPE_135M, Path::new("shape:135m"))?;
        return Ok(Decoder::load(&config, &Drawn, &device, arguments.base_precision)?);
    }
    Ok(LoadedModel::open(Path::new(&arguments.model))?
        .decoder(&device, arguments.base_precision)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse()?;
    if arguments.threads > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    }
    let mut decoder = open(&arguments)?;
    decoder.checkpoint_layers(arguments.checkpoint);
    let spec = AdapterSpec {
        rank: arguments.rank,
        alpha: 2.0 * arguments.rank as f64,
        ..AdapterSpec::default()
    };
    let settings = FederatedSettings { adapter: spec, ..FederatedSettings::default() };
    let layout = AdapterLayout::new(decoder.config(), &settings.adapter)?;
    let global = GlobalAdapter::new(layout, &settings, [0; 32]);
    let factors: &[Factor] = match arguments.factors.as_str() {
        "a" => &[Factor::A],
        "b" => &[Factor::B],
        _ => &[Factor::A, Factor::B],
    };
    let vocab = decoder.config().vocab_size;
    let sequence = |row: usize| {
        let ids = (0..arguments.seq).map(|i| ((row * arguments.seq + i) * 7919 + 13) % vocab);
        TokenSequence::all_labelled(ids.map(|id| id as u32).collect())
    };
    let sequences: Vec<TokenSequence> = (0..arguments.batch).map(sequence).collect();
    let batch = Batch::new(&sequences.iter().collect::<Vec<_>>())?;
    let len: usize = factors.iter().map(|factor| global.layout().len(*factor)).sum();
    let mut theta = vec![0f32; len];
    let mut optimizer = AdamW::new(AdamWSettings::default(), len);
    let mut rows: Vec<(f64, StageSeconds, f64)> = Vec::new();
    for _ in 0..arguments.steps + 1 {
        let begin = Instant::now();
        let mut step = adapter_gradient(&decoder, &global, factors, std::slice::from_ref(&batch))?;
        clip_global_norm(&mut step.gradient, 1.0);
        optimizer.step(&mut theta, &step.gradient, 1e-3);
        rows.push((begin.elapsed().as_secs_f64(), step.seconds, step.loss));
    }
    let mut timed = rows[1..].to_vec();
    timed.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (seconds, stages, loss) = timed[timed.len() / 2];
    let peak = peak_memory_mib();
    let tokens = (arguments.batch * arguments.seq) as f64 / seconds;
    if arguments.json {
        let json = serde_json::json!({
            "model": arguments.model, "rank": arguments.rank, "batch": arguments.batch,
            "seq": arguments.seq, "steps": arguments.steps, "device": arguments.device,
            "checkpoint": arguments.checkpoint, "base_precision": arguments.base_precision,
            "base_bytes": decoder.base_bytes(), "threads": rayon::current_num_threads(), "loss": loss,
            "tokens_per_second": tokens, "step_seconds": seconds, "stages": stages,
            "best_step_seconds": timed[0].0, "peak_memory_mib": peak,
        });
        println!("{json}");
    } else {
        println!(
            "{tokens:.1} tokens/s, {seconds:.3} s a step (median): forward {:.3}, head {:.3}, \
             backward {:.3}; base {:.1} MiB; peak memory {peak:.0} MiB; loss {loss:.4}",
            stages.forward,
            stages.head,
            stages.backward,
            decoder.base_bytes() as f64 / f64::from(1 << 20)
        );
    }
    Ok(())
}

/// Largest resident size of this process so far; 0 where the system does not say.
fn peak_memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|k| k.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}
