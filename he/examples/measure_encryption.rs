//! Measures every stage of a round on this machine.
//!
//! `cargo run --release -p fedshield-he --example measure_encryption -- --values 1048576 --members
//! 3 --bits 16 --json`

#![allow(clippy::print_stdout, reason = "a report is what it is for")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to report")]

use std::io::Write;
use std::time::Instant;

use chacha20::ChaCha20Rng;
use clap::Parser;
use fedshield_he::benches::{BlockBench, BlockStage, Kernel, context_on, kernel_of};
use fedshield_he::*;
use rand_core::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

#[derive(Parser)]
struct Options {
    /// Values in one update.
    #[arg(long, default_value_t = 1 << 20)]
    values: usize,
    /// Members; all contribute.
    #[arg(long, default_value_t = 3)]
    members: u16,
    /// The preset holds at least so many members (default: as many as there are).
    #[arg(long)]
    capacity: Option<u16>,
    /// Bits per value: 8, 12, 16 or 20.
    #[arg(long, default_value_t = 16)]
    bits: u32,
    /// Threads for the stages that use them (default: one, so that CPU seconds are those of one
    /// core).
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Repetitions of each stage; the fastest counts.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Path: scalar, avx2, avx512, or best.
    #[arg(long, default_value = "best")]
    path: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// CPU and wall seconds of the fastest of some runs.
fn best<T>(repeat: usize, mut run: impl FnMut() -> T) -> (T, Value) {
    let cpu = || {
        let t = clock_gettime(ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
    };
    let (mut best_cpu, mut best_wall, mut result) = (f64::MAX, f64::MAX, None);
    for _ in 0..repeat.max(1) {
        let (wall, start) = (Instant::now(), cpu());
        result = Some(run());
        best_cpu = best_cpu.min(cpu() - start);
        best_wall = best_wall.min(wall.elapsed().as_secs_f64());
    }
    (result.unwrap(), json!({ "cpu_s": best_cpu, "wall_s": best_wall }))
}

/// A line of /proc/self/status in bytes; zero where there is none.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    let kib = line.and_then(|l| l.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

struct Round {
    context: RoundContext,
    values: Vec<Vec<f32>>,
    files: Vec<Vec<u8>>,
    scale: f64,
    rng: ChaCha20Rng,
}

impl Round {
    fn new(options: &Options) -> Self {
        let capacity = options.capacity.unwrap_or(options.members).max(options.members);
        let preset = Preset::for_federation(options.bits, capacity).unwrap();
        let all = Kernel::available();
        let named = all.iter().find(|k| k.name() == options.path).copied();
        let fastest = || all.last().copied();
        let kernel = if options.path == "best" { fastest() } else { named }.unwrap();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let len = ciphertext_len(preset, options.values as u64).unwrap() as usize;
        let value = |r: u32| (f64::from(r) / f64::from(u32::MAX) * 0.1 - 0.05) as f32;
        Self {
            context: context_on(kernel, [0; 32], 0, preset),
            values: (0..options.members)
                .map(|_| (0..options.values).map(|_| value(rng.next_u32())).collect())
                .collect(),
            files: (0..options.members).map(|_| vec![1; len]).collect(),
            scale: preset.value_limit() as f64 / 0.05,
            rng,
        }
    }

    fn update(&self, member: usize) -> Update<'_> {
        Update {
            values: &self.values[member],
            scale: self.scale,
            nonce: &[5; 32],
            measurement: None,
        }
    }
}

fn main() {
    let options = Options::parse();
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global().unwrap();
    let mut round = Round::new(&options);
    let mut report = measure(&options, &mut round);
    describe(&options, &round, &mut report);
    if options.json {
        println!("{:#}", Value::Object(report));
    } else {
        for (name, value) in report {
            println!("{name:>24}  {value}");
        }
    }
}

fn measure(options: &Options, round: &mut Round) -> Map<String, Value> {
    let mut stages = Map::new();
    let mut bench = BlockBench::new(&round.context, round.update(0)).unwrap();
    for stage in BlockStage::ALL {
        let ((), time) = best(options.repeat, || bench.run(stage).unwrap());
        stages.insert(stage.name().into(), time);
    }
    drop(bench);

    // One contributor's whole encryption: expand to pack, fused.
    let mut keys = Vec::new();
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS");
    for member in 0..round.values.len() {
        let mut file = std::mem::take(&mut round.files[member]);
        let mut rng = ChaCha20Rng::from_seed([member as u8; 32]);
        let update = round.update(member);
        let ((key, _), time) = best(if member == 0 { options.repeat } else { 1 }, || {
            let mut out = file.as_mut_slice();
            encrypt(&round.context, member_at(member), &update, &mut rng, &mut out).unwrap()
        });
        if member == 0 {
            stages.insert("encrypt".into(), time);
        }
        round.files[member] = file;
        keys.push(key);
    }
    let extra_memory = memory("VmHWM").saturating_sub(before);
    let mut report = open(options, round, &keys, &mut stages);
    report.insert("extra_memory_bytes".into(), extra_memory.into());
    report.insert("stages".into(), Value::Object(stages));
    report
}

/// Sharing, aggregation and opening.
fn open(
    options: &Options,
    round: &mut Round,
    keys: &[OneTimeKey],
    stages: &mut Map<String, Value>,
) -> Map<String, Value> {
    let context = &round.context;
    let members = options.members;
    let max_faulty = (members - 1) / 3;
    let sharing = Sharing::new((members + max_faulty) / 2 + 1, members).unwrap();
    let count = options.values as u64;
    let mut shared = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        let digest = CiphertextDigest::new([i as u8; 32]);
        let (packages, time) = best(options.repeat.min(3), || {
            share(context, member_at(i), sharing, key, digest, &mut round.rng).unwrap()
        });
        stages.insert("share".into(), time);
        shared.push(packages);
    }
    let entries = shared.iter().map(|(c, _)| (c.dealer(), c.id(context)));
    let set = ContributorSet::new(context, members, entries).unwrap();
    let add = |out: &mut dyn Write| {
        let inputs = set.contributors().zip(round.files.iter().map(|f| f.as_slice()));
        aggregate(context, &set, count, inputs, &mut { out }).unwrap()
    };
    // Once for the length, so that the measured runs write to memory that is there.
    let mut sum = Vec::new();
    add(&mut sum);
    let (_, time) = best(options.repeat, || add(&mut sum.as_mut_slice()));
    stages.insert("aggregate".into(), time);
    stages.insert("plain u64 add".into(), plain_add(options, context.preset()));
    let mut answers = Vec::new();
    for member in sharing.indices().take(sharing.threshold().into()) {
        let shares: Vec<KeyShare> = shared
            .iter()
            .map(|(c, p)| p.opening_for(member).unwrap().verify(context, c).unwrap())
            .collect();
        let (answer, time) =
            best(options.repeat, || partial_decrypt(context, &set, member, &shares).unwrap());
        stages.insert("partial".into(), time);
        answers.push(answer);
    }
    let robust = RobustSharing::new(sharing, max_faulty).unwrap();
    let mut opened = vec![0i64; options.values];
    let shape = SumShape::full(context.preset(), set.len(), count);
    let (combined, time) = best(options.repeat, || {
        let sink = collect(&mut opened);
        combine(context, &set, robust, &answers, shape, sum.as_slice(), sink).unwrap()
    });
    stages.insert("combine".into(), time);
    let (result, time) = best(options.repeat, || {
        let sink = collect(&mut opened);
        decrypt(context, &set, &combined.key, shape, sum.as_slice(), sink).unwrap()
    });
    stages.insert("decrypt".into(), time);
    assert_eq!(result.out_of_range, 0);
    let error = (0..options.values).map(|i| {
        let plain: f64 = round.values.iter().map(|v| f64::from(v[i])).sum();
        (opened[i] as f64 / round.scale - plain).abs()
    });
    let mut report = Map::new();
    report.insert("largest_error_of_sum".into(), error.fold(0.0, f64::max).into());
    report.insert("aggregate_bytes".into(), sum.len().into());
    report.insert("bytes_per_share".into(), (2 * context.preset().ring_degree()).into());
    report.insert("sealed_bytes_per_share".into(), sealed_len(context).into());
    report
}

fn member_at(position: usize) -> ShareIndex {
    ShareIndex::from_position(position as u16)
}

/// Puts blocks one after the other.
fn collect(out: &mut [i64]) -> impl FnMut(&[i64]) -> std::io::Result<()> + '_ {
    let mut at = 0;
    move |values| {
        out[at..at + values.len()].copy_from_slice(values);
        at += values.len();
        Ok(())
    }
}

/// The floor of aggregation: adding the unpacked words of all contributors to one sum.
fn plain_add(options: &Options, preset: &Preset) -> Value {
    let words = options.values.div_ceil(preset.slots_per_coefficient());
    let inputs: Vec<Vec<u64>> = (0..options.members).map(|m| vec![m.into(); words]).collect();
    let mut sum = vec![1u64; words];
    best(options.repeat, || {
        for input in &inputs {
            for (s, x) in sum.iter_mut().zip(input) {
                *s = s.wrapping_add(*x);
            }
        }
        std::hint::black_box(&mut sum);
    })
    .1
}

fn describe(options: &Options, round: &Round, report: &mut Map<String, Value>) {
    let preset = round.context.preset();
    let bytes = round.files[0].len();
    let mut add = |name: &str, value: Value| report.insert(name.into(), value);
    add("preset", preset.name().into());
    add("path", kernel_of(&round.context).name().into());
    add("values", options.values.into());
    add("members", options.members.into());
    add("threads", options.threads.into());
    let slots = preset.slots_per_coefficient() as f64;
    add("bytes_per_value", (f64::from(preset.wire_bits()) / (8.0 * slots)).into());
    add("ciphertext_bytes", bytes.into());
    add("ciphertext_bytes_per_value", (bytes as f64 / options.values as f64).into());
}
