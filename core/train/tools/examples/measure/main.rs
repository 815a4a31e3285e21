//! Speed and memory of local training.
//!
//! ```text
//! cargo run --release -p fedshield-train-tools --example measure -- --model PATH --rank 32 --batch 2 --seq 128 \
//!     --steps 5 --threads 2 --json
//! ```
//!
//! Every position is labelled; the token ids are always the same. `--model shape:135m` (or `1b`,
//! `3b`, `7b`) measures random weights in the shape of SmolLM2-135M (Llama-3.2-1B, Llama-3.2-3B,
//! Llama-2-7B), for machines without the model. `--checkpoint` recomputes each layer's activations
//! in the backward pass instead of keeping them. `--algorithm ffa` trains B alone, as most rounds
//! of a federation do, instead of A and B. `--base-precision q8` holds the frozen matrices in fewer
//! bits, and `--compute-precision bf16` lets a GPU compute with operands of fewer bits.
//!
//! On a GPU, one additional step at the end counts transfers and launches.

#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod weights;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use fedshield_train::federated::{
    AdapterLayout, AdapterSpec, Algorithm, FederatedSettings, GlobalAdapter, StepRates,
};
use fedshield_train::load::LoadedModel;
use fedshield_train::model::{
    BasePrecision, Batch, ComputePrecision, Decoder, ModelConfig, StageSeconds, TokenSequence,
    Transfers,
};
use fedshield_train::{
    AdamWSettings, ComputeDevice, LocalSettings, LocalSteps, OptimizerState, StepReport, Valid,
    local_steps,
};
use fedshield_train_tools::all_labelled;
use weights::Drawn;

struct Arguments {
    model: String,
    rank: usize,
    batch: usize,
    seq: usize,
    steps: usize,
    threads: usize,
    device: String,
    algorithm: Algorithm,
    checkpoint: bool,
    base_precision: BasePrecision,
    compute_precision: ComputePrecision,
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
            algorithm: Algorithm::FedIt,
            checkpoint: false,
            base_precision: BasePrecision::F32,
            compute_precision: ComputePrecision::F32,
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
                "--algorithm" => {
                    parsed.algorithm =
                        serde_json::from_value(value.into()).map_err(|e| e.to_string())?
                }
                "--base-precision" => {
                    parsed.base_precision =
                        value.parse().map_err(|e: fedshield_train::TrainError| e.to_string())?;
                }
                "--compute-precision" => {
                    parsed.compute_precision =
                        value.parse().map_err(|e: fedshield_train::TrainError| e.to_string())?;
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(parsed)
    }
}

/// The shapes for `--model shape:NAME`: those of SmolLM2-135M, Llama-3.2-1B and 3B, and Llama-2-7B.
const SHAPES: [(&str, &str); 4] = [
    (
        "shape:135m",
        r#"{"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "vocab_size": 49152, "rms_norm_eps": 1e-5, "rope_theta": 100000.0,
            "max_position_embeddings": 8192, "tie_word_embeddings": true}"#,
    ),
    (
        "shape:1b",
        r#"{"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
            "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 128256, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
            "max_position_embeddings": 8192, "tie_word_embeddings": true}"#,
    ),
    (
        "shape:3b",
        r#"{"model_type": "llama", "hidden_size": 3072, "intermediate_size": 8192,
            "num_hidden_layers": 28, "num_attention_heads": 24, "num_key_value_heads": 8,
            "vocab_size": 128256, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
            "max_position_embeddings": 8192, "tie_word_embeddings": true}"#,
    ),
    (
        "shape:7b",
        r#"{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
            "vocab_size": 32000, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "max_position_embeddings": 4096, "tie_word_embeddings": false}"#,
    ),
];

/// What one step uploads to a GPU, downloads from it, and launches there; zero on the processor.
#[derive(serde::Serialize)]
struct Crossings {
    #[serde(flatten)]
    transfers: Transfers,
    /// Launches of all kernels.
    launches: u64,
    /// Launches by kernel name.
    kernels: BTreeMap<String, u64>,
}

fn count_step(
    training: &mut dyn LocalSteps,
    batches: &[Batch],
) -> Result<Crossings, fedshield_train::TrainError> {
    let before = Transfers::so_far();
    #[cfg(feature = "gpu")]
    let (step, kernels) =
        fedshield_train::count_launches(|| training.step(batches, StepRates::all(1e-3)));
    #[cfg(not(feature = "gpu"))]
    let (step, kernels) = (training.step(batches, StepRates::all(1e-3)), BTreeMap::new());
    step?;
    let transfers = Transfers::so_far() - before;
    Ok(Crossings { transfers, launches: kernels.values().sum(), kernels })
}

fn open(arguments: &Arguments) -> Result<Decoder, Box<dyn std::error::Error>> {
    let device: ComputeDevice = serde_json::from_value(arguments.device.as_str().into())?;
    let device = device.open()?;
    if let Some((name, shape)) = SHAPES.iter().find(|(name, _)| *name == arguments.model) {
        let config = ModelConfig::from_json(shape, Path::new(name))?;
        return Ok(Decoder::load(&config, &Drawn, &device, arguments.base_precision)?);
    }
    Ok(LoadedModel::open(Path::new(&arguments.model))?
        .decoder(&device, arguments.base_precision)?)
}

#[global_allocator]
static ALLOCATOR: fedshield_train::Allocator = fedshield_train::Allocator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    fedshield_train::answer_device_probe();
    fedshield_train::reuse_freed_memory();
    let arguments = Arguments::parse()?;
    if arguments.threads > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    }
    let mut decoder = open(&arguments)?;
    decoder.checkpoint_layers(arguments.checkpoint);
    decoder.compute_in(arguments.compute_precision);
    let spec = AdapterSpec {
        rank: arguments.rank,
        alpha: 2.0 * arguments.rank as f64,
        ..AdapterSpec::default()
    };
    let algorithm = arguments.algorithm;
    let settings =
        Valid::new(FederatedSettings { adapter: spec, algorithm, ..FederatedSettings::default() })?;
    let layout = AdapterLayout::new(decoder.config(), &settings.adapter)?;
    let adapter = GlobalAdapter::new(layout, &settings, [0; 32]);
    let vocab = decoder.config().vocab_size;
    let sequence = |row: usize| {
        let ids = (0..arguments.seq).map(|i| ((row * arguments.seq + i) * 7919 + 13) % vocab);
        all_labelled(ids.map(|id| id as u32).collect())
    };
    let sequences: Vec<TokenSequence> = (0..arguments.batch).map(sequence).collect();
    let batch = Batch::new(&sequences.iter().collect::<Vec<_>>())?;
    let batches = std::slice::from_ref(&batch);
    let local = LocalSettings {
        optimizer: AdamWSettings::default(),
        max_gradient_norm: 1.0,
        proximal: 0.0,
    };
    let mut training = local_steps(&decoder, &adapter, &local, &OptimizerState::default())?;
    let mut losses = Vec::new();
    let mut timed: Vec<(f64, StageSeconds)> = Vec::new();
    let (mut cpu, mut first_seconds) = (0.0, 0.0);
    for step in 0..=arguments.steps {
        let (begin, begin_cpu) = (Instant::now(), cpu_seconds());
        let StepReport { loss, seconds: stages, .. } =
            training.step(batches, StepRates::all(1e-3))?;
        losses.push(loss);
        // The first step is a warm-up, in which a GPU's kernels are compiled and tuned.
        let elapsed = begin.elapsed().as_secs_f64();
        if step == 0 {
            first_seconds = elapsed;
        } else {
            timed.push((elapsed, stages));
            cpu += (cpu_seconds() - begin_cpu) / arguments.steps as f64;
        }
    }
    let crossings = count_step(&mut *training, batches)?;
    timed.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (seconds, stages) = timed[timed.len() / 2];
    let (first, last) = (losses[0], losses[arguments.steps]);
    let peak = peak_memory_mib();
    let tokens = (arguments.batch * arguments.seq) as f64 / seconds;
    if arguments.json {
        let json = serde_json::json!({
            "model": arguments.model, "rank": arguments.rank, "batch": arguments.batch,
            "seq": arguments.seq, "steps": arguments.steps, "device": arguments.device,
            "checkpoint": arguments.checkpoint, "base_precision": arguments.base_precision,
            "base_bytes": decoder.base_bytes(), "threads": rayon::current_num_threads(),
            "first_loss": first, "last_loss": last, "cpu_seconds": cpu,
            "tokens_per_second": tokens, "step_seconds": seconds, "stages": stages,
            "best_step_seconds": timed[0].0, "first_step_seconds": first_seconds, "peak_memory_mib": peak,
            "compute_precision": arguments.compute_precision, "step": crossings,
            "device_memory_mib": decoder.device_memory_bytes() as f64 / f64::from(1 << 20),
        });
        println!("{json}");
    } else {
        println!(
            "{tokens:.1} tokens/s, {seconds:.3} s a step (median): forward {:.3}, head {:.3}, \
             backward {:.3}; base {:.1} MiB; peak memory {peak:.0} MiB; loss {first:.4} in the first step, \
             {last:.4} in the last",
            stages.forward,
            stages.head,
            stages.backward,
            decoder.base_bytes() as f64 / f64::from(1 << 20)
        );
    }
    Ok(())
}

/// Processor seconds of this process so far, over all threads, in steps of a hundredth; 0 where the
/// system does not report them.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // utime and stime are fields 14 and 15; field 2 is a name in parentheses that may contain
    // spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Peak resident size of this process in MiB; 0 where the system does not report it.
fn peak_memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|k| k.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}
