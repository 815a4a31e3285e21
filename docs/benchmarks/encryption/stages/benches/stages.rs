//! Each stage of encryption and opening on each path, over 64 full blocks, with floors beside them.
//!
//! `cargo bench --manifest-path docs/benchmarks/encryption/stages/Cargo.toml`

use std::hint::black_box;

use chacha20::ChaCha20Rng;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use divan::Bencher;
use divan::counter::ItemsCount;
use fedshield_he::benches::{
    BlockBench, BlockStage, Kernel, SecretStep, context_on, on_secrets,
};
use fedshield_he::*;

const PRESETS: [&str; 2] = ["rlwe-sum/b16/n16", "rlwe-sum/b16/n128"];
const BLOCKS: usize = 64;

fn main() {
    divan::main();
}

fn paths() -> Vec<(&'static str, &'static str)> {
    let names = Kernel::available().into_iter().map(Kernel::name);
    names.flat_map(|path| PRESETS.map(|preset| (preset, path))).collect()
}

fn context((preset, path): (&str, &str)) -> RoundContext {
    let kernel = Kernel::available().into_iter().find(|k| k.name() == path);
    let preset = Preset::by_name(preset).expect("a preset");
    context_on(kernel.expect("a path of this machine"), [1; 32], 1, preset)
}

/// Values that fill the blocks exactly.
fn values(preset: &Preset) -> Vec<f32> {
    // 32 slots hold the nonce.
    let count = BLOCKS * preset.slots_per_block() - 32;
    (0..count).map(|i| (i % 1001) as f32 * 1e-4 - 0.05).collect()
}

fn stage(bencher: Bencher, chosen: (&str, &str), stage: BlockStage) {
    let context = context(chosen);
    let values = values(context.preset());
    let update = Update { values: &values, scale: 1e5, nonce: &[5; 32], measurement: None };
    let mut bench = BlockBench::new(&context, update).expect("the update is valid");
    bencher.counter(ItemsCount::new(values.len())).bench_local(|| bench.run(stage));
}

#[divan::bench(args = paths())]
fn expand(bencher: Bencher, chosen: (&str, &str)) {
    stage(bencher, chosen, BlockStage::Expand);
}

#[divan::bench(args = paths())]
fn encode(bencher: Bencher, chosen: (&str, &str)) {
    stage(bencher, chosen, BlockStage::Encode);
}

#[divan::bench(args = paths())]
fn multiply(bencher: Bencher, chosen: (&str, &str)) {
    stage(bencher, chosen, BlockStage::Multiply);
}

#[divan::bench(args = paths())]
fn sample(bencher: Bencher, chosen: (&str, &str)) {
    stage(bencher, chosen, BlockStage::Sample);
}

#[divan::bench(args = paths())]
fn add(bencher: Bencher, chosen: (&str, &str)) {
    stage(bencher, chosen, BlockStage::Add);
}

#[divan::bench(args = paths())]
fn pack(bencher: Bencher, chosen: (&str, &str)) {
    stage(bencher, chosen, BlockStage::Pack);
}

/// All of the above, fused.
#[divan::bench(args = paths())]
fn encrypt_whole(bencher: Bencher, chosen: (&str, &str)) {
    let context = context(chosen);
    let values = values(context.preset());
    let update = Update { values: &values, scale: 1e5, nonce: &[5; 32], measurement: None };
    let mut rng: ChaCha20Rng = rand_core_seed();
    let len = ciphertext_len(context.preset(), values.len() as u64).expect("a length");
    let mut file = vec![1; len as usize];
    let me = ShareIndex::from_position(0);
    bencher.counter(ItemsCount::new(values.len())).bench_local(|| {
        encrypt(&context, me, &update, &mut rng, &mut file.as_mut_slice()).expect("it is valid")
    });
}

fn rand_core_seed() -> ChaCha20Rng {
    use chacha20::rand_core::SeedableRng;
    ChaCha20Rng::from_seed([3; 32])
}

/// One transform of a block: the larger part of `multiply`.
#[divan::bench(args = paths())]
fn transform_of_one_block(bencher: Bencher, chosen: (&str, &str)) {
    let context = context(chosen);
    let mut words = vec![1; context.preset().ring_degree()];
    bencher.bench_local(|| on_secrets(&context, SecretStep::Transform, black_box(&mut words)));
}

/// Floors: what the same data costs without the work.
mod floor {
    use super::*;

    /// Memory: the values of 64 blocks read, the bytes of their ciphertext written.
    #[divan::bench(args = PRESETS)]
    fn read_values_and_write_ciphertext(bencher: Bencher, preset: &str) {
        let preset = Preset::by_name(preset).expect("a preset");
        let values = values(preset);
        let len = ciphertext_len(preset, values.len() as u64).expect("a length") as usize;
        let mut file = vec![1u8; len];
        bencher.counter(ItemsCount::new(values.len())).bench_local(|| {
            // As integers: a sum of floats would wait for each addition.
            let sum = black_box(&values).iter().fold(0u32, |sum, v| sum.wrapping_add(v.to_bits()));
            black_box(&mut file).fill(sum as u8);
        });
    }

    /// The stream alone: eight bytes of ChaCha20 for each error, the floor of `sample`.
    #[divan::bench]
    fn chacha20_of_64_blocks(bencher: Bencher) {
        let mut words = vec![0u8; 8 * 4096];
        bencher.bench_local(|| {
            for _ in 0..BLOCKS {
                let mut stream = chacha20::ChaCha20::new(&[0; 32].into(), &[0; 12].into());
                stream.write_keystream(black_box(&mut words));
            }
        });
    }

    /// The additions of a transform without its products: 12 layers over 4096 words in the cache.
    #[divan::bench]
    fn twelve_passes_of_additions(bencher: Bencher) {
        let mut words = vec![1u64; 4096];
        bencher.bench_local(|| {
            for layer in 0..12 {
                let words = black_box(&mut words);
                let (low, high) = words.split_at_mut(2048);
                for (x, y) in low.iter_mut().zip(high) {
                    (*x, *y) = (x.wrapping_add(*y), x.wrapping_sub(*y) ^ layer);
                }
            }
        });
    }
}
