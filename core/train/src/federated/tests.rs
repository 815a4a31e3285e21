//! Rounds of several members without training: exactness, error feedback, rejection, canonical
//! bytes.

mod factors;

use super::*;
use crate::Valid;
use crate::model::{ModelConfig, Projection};
use crate::random::Stream;
use std::path::Path;

pub(super) fn settings(algorithm: Algorithm, prune: PruneSchedule) -> Valid<FederatedSettings> {
    Valid::new(FederatedSettings {
        adapter: AdapterSpec {
            rank: 2,
            alpha: 4.0,
            target_modules: vec![Projection::VProj, Projection::QProj, Projection::DownProj],
            rslora: false,
        },
        algorithm,
        prune,
        learning_rate: LearningRate { peak: 0.01, last: 0.01, rounds: 10 },
        ..FederatedSettings::default()
    })
    .unwrap()
}

fn layout(settings: &Valid<FederatedSettings>) -> AdapterLayout {
    let json = serde_json::json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 16,
    });
    let config = ModelConfig::from_json(&json.to_string(), Path::new("test")).unwrap();
    AdapterLayout::new(&config, &settings.adapter).unwrap()
}

pub(super) fn adapter(settings: &Valid<FederatedSettings>) -> GlobalAdapter {
    GlobalAdapter::new(layout(settings), settings, [5; 32])
}

/// The values of a member after "training": moved by up to `size`.
fn moved(global: &GlobalAdapter, stream: &mut Stream, size: f64) -> Vec<f32> {
    let values = global.trained_values();
    values.iter().map(|v| v + ((2.0 * stream.unit() - 1.0) * size) as f32).collect()
}

struct Member {
    memory: LocalMemory,
    weight: u64,
}

/// One round: prune, quantise, add, apply, spend. Returns the new adapter and each member's trained
/// values theta.
fn round(
    global: &GlobalAdapter,
    settings: &Valid<FederatedSettings>,
    members: &mut [Member],
    stream: &mut Stream,
) -> (GlobalAdapter, Vec<Vec<f32>>) {
    let t = global.applied();
    let (bounds, scale) = (global.bounds(settings), settings.scale(t, 20, 4));
    let mask = global.mask(settings, [t as u8; 32]);
    let mut sum = vec![0i64; mask.len()];
    let mut thetas = Vec::new();
    for member in members.iter_mut() {
        let theta = moved(global, stream, 0.02);
        let update = member.memory.prune(global, &theta, mask.clone(), settings).unwrap();
        let weight = member.weight as f64;
        let quantise = |x: &f32| (scale * weight * f64::from(*x)).round() as i64;
        let quantised: Vec<i64> = update.encoded().iter().map(quantise).collect();
        sum.iter_mut().zip(&quantised).for_each(|(sum, q)| *sum += q);
        let back = |(q, index): (&i64, &u32)| {
            (*q as f64 / (scale * weight) * bounds.unit(*index as usize)) as f32
        };
        let sent: Vec<f32> = quantised.iter().zip(mask.indices()).map(back).collect();
        member.memory.spend(t, &mask, &sent).unwrap();
        thetas.push(theta);
    }
    let opened = UpdateSum {
        values: &sum,
        scale,
        weight_sum: members.iter().map(|member| member.weight).sum(),
        contributors: members.len() as u64,
    };
    (global.apply(settings, &mask, &opened).unwrap(), thetas)
}

fn members(global: &GlobalAdapter) -> Vec<Member> {
    [1, 3, 4].map(|weight| Member { memory: LocalMemory::new(global), weight }).into()
}

/// alpha/rank * B A of one module, row-major `[outputs, inputs]`.
fn product(a: &[f32], b: &[f32], rank: usize, scaling: f64) -> Vec<f64> {
    let inputs = a.len() / rank;
    let mut out = Vec::new();
    for row in b.chunks(rank) {
        for column in 0..inputs {
            let dot: f64 =
                (0..rank).map(|r| f64::from(row[r]) * f64::from(a[r * inputs + column])).sum();
            out.push(dot * scaling);
        }
    }
    out
}

/// The largest difference between the federated product and the weighted mean of the members'
/// products.
fn inexactness(algorithm: Algorithm, rounds: u64) -> f64 {
    // A bound far above the updates, so that nothing is clipped.
    let settings =
        settings(algorithm, PruneSchedule::constant(0.0)).with(|it| it.clip_factor = 10.0).unwrap();
    let mut global = adapter(&settings);
    let mut stream = Stream::new([9; 32], "test");
    let mut worst = 0f64;
    for _ in 0..rounds {
        let mut members = members(&global);
        let (next, thetas) = round(&global, &settings, &mut members, &mut stream);
        let locals: Vec<GlobalAdapter> =
            thetas.iter().map(|theta| global.with_trained(theta).unwrap()).collect();
        let (a_ranges, b_ranges): (Vec<_>, Vec<_>) = next
            .layout()
            .ranges(Factor::A)
            .zip(next.layout().ranges(Factor::B))
            .map(|((_, a), (_, b))| (a, b))
            .unzip();
        for (a, b) in a_ranges.into_iter().zip(b_ranges) {
            let of = |adapter: &GlobalAdapter| {
                let a = &adapter.values(Factor::A)[a.clone()];
                product(a, &adapter.lora_b()[b.clone()], 2, 2.0)
            };
            let federated = of(&next);
            let mut mean = vec![0f64; federated.len()];
            for (local, weight) in locals.iter().zip([1.0, 3.0, 4.0]) {
                mean.iter_mut().zip(of(local)).for_each(|(m, v)| *m += v * weight / 8.0);
            }
            let differences = federated.iter().zip(&mean).map(|(x, y)| (x - y).abs());
            worst = differences.fold(worst, f64::max);
        }
        global = next;
    }
    worst
}

#[test]
fn all_that_train_one_factor_average_the_products() {
    for algorithm in [Algorithm::RoLora, Algorithm::Ffa, Algorithm::FedSb] {
        let worst = inexactness(algorithm, 5);
        assert!(worst < 1e-5, "{algorithm:?} {worst}");
    }
    for algorithm in [Algorithm::FedIt, Algorithm::Halves] {
        assert!(inexactness(algorithm, 5) > 1e-4, "{algorithm:?}");
    }
}

#[test]
fn pruning_at_a_half_sends_half_the_values_and_forgets_none() {
    let settings = settings(Algorithm::RoLora, PruneSchedule::constant(0.5));
    let mut global = adapter(&settings);
    let mut stream = Stream::new([9; 32], "test");
    let mut members = members(&global);
    for t in 0..6 {
        let dense = global.trained_len();
        let mask = global.mask(&settings, [t as u8; 32]);
        let expected = if t < 2 { dense } else { dense.div_ceil(2) };
        assert_eq!(mask.len(), expected, "round {t}");
        let mut before = members[0].memory.clone();
        before.begin(t);
        let g = global.trained_values();
        let factor = global.trained_factors()[0];
        let clip = settings.clip(t, factor);
        let (next, thetas) = round(&global, &settings, &mut members, &mut stream);
        // As the next round settles it.
        let mut after = members[0].memory.clone();
        after.begin(next.applied());
        let after = after.factor(factor);
        for index in 0..dense {
            let delta = thetas[0][index] - g[index] + before.factor(factor)[index];
            let sent = delta - after[index];
            match mask.indices().binary_search(&(index as u32)) {
                Ok(_) => assert!((sent - delta.clamp(-clip, clip)).abs() < 1e-5),
                Err(_) => assert_eq!(sent, 0.0),
            }
        }
        global = next;
    }
    assert_eq!(global.applied(), 6);
}

#[test]
fn what_is_spent_is_never_sent_again_and_what_is_skipped_is() {
    let settings = settings(Algorithm::Ffa, PruneSchedule::constant(0.0));
    let global = adapter(&settings);
    let mask = global.mask(&settings, [0; 32]);
    let theta: Vec<f32> = global.trained_values().iter().map(|v| v + 0.01).collect();
    let mut memory = LocalMemory::new(&global);
    let update = memory.prune(&global, &theta, mask.clone(), &settings).unwrap();
    assert!(memory.spend(7, &mask, &update.sent).is_err());
    let restored = LocalMemory::from_bytes(&memory.to_bytes()).unwrap();
    assert!(restored == memory);
    // Version 1 had no R; its files can still be read.
    let bytes = memory.to_bytes();
    let at = 8 + 16 + 4 * (global.layout().len(Factor::A) + global.layout().len(Factor::B));
    let end = bytes.len() - 1;
    let old = [b"FSLOCAL1", &bytes[8..at], &bytes[at + 8..end]].concat();
    assert!(LocalMemory::from_bytes(&old).unwrap() == memory);
    // Version 2 had no settled update.
    let old = [b"FSLOCAL2", &bytes[8..end]].concat();
    assert!(LocalMemory::from_bytes(&old).unwrap() == memory);
    memory.spend(0, &mask, &update.sent).unwrap();
    assert!(memory.factor(Factor::B).iter().all(|e| *e == 0.0));
    assert!(memory.spend(0, &mask, &update.sent).is_err());
    // First the round is not applied, then it is.
    for (t, expected) in [(0, 0.0), (1, 0.01)] {
        memory.prune(&global, &theta, mask.clone(), &settings).unwrap();
        memory.skip();
        memory = LocalMemory::from_bytes(&memory.to_bytes()).unwrap();
        memory.begin(t);
        assert!(memory.factor(Factor::B).iter().all(|e| (e - expected).abs() < 1e-7));
    }
}

#[test]
fn sums_out_of_range_are_rejected() {
    let settings = settings(Algorithm::RoLora, PruneSchedule::constant(0.0));
    let global = adapter(&settings);
    let mask = global.mask(&settings, [0; 32]);
    let values = vec![0i64; mask.len()];
    let good = UpdateSum { values: &values, scale: 1000.0, weight_sum: 5, contributors: 2 };
    assert!(global.apply(&settings, &mask, &good).is_ok());
    // scale * weights * clip = 1000 * 5 * 0.1, and 2 for rounding.
    for (value, accepted) in [(502, true), (-502, true), (503, false), (i64::MIN, false)] {
        let mut values = values.clone();
        values[3] = value;
        let sum = UpdateSum { values: &values, ..good };
        assert_eq!(global.apply(&settings, &mask, &sum).is_ok(), accepted, "{value}");
    }
    let short = UpdateSum { values: &values[1..], ..good };
    assert!(global.apply(&settings, &mask, &short).is_err());
}

#[test]
fn canonical_bytes_round_trip_and_name_every_difference() {
    let servers = [
        ServerOptimizer::default(),
        ServerOptimizer::Momentum { eta: 1.0, beta: 0.9 },
        ServerOptimizer::Nesterov { eta: 1.0, beta: 0.9 },
        ServerOptimizer::Adam { eta: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-6 },
    ];
    let algorithms = [Algorithm::FedIt, Algorithm::FedSb, Algorithm::Halves];
    for (server, algorithm) in servers.into_iter().flat_map(|s| algorithms.map(|a| (s, a))) {
        let settings = settings(algorithm, PruneSchedule::constant(0.0))
            .with(|it| it.server = server)
            .unwrap();
        let first = adapter(&settings);
        let mut stream = Stream::new([1; 32], "test");
        let (next, _) = round(&first, &settings, &mut members(&first), &mut stream);
        assert_ne!(first.digest(), next.digest());
        let bytes = next.to_bytes();
        let back = GlobalAdapter::from_bytes(&bytes).unwrap();
        assert!(back == next && back.digest() == next.digest());
        for cut in [0, 7, 30, bytes.len() - 1] {
            assert!(GlobalAdapter::from_bytes(&bytes[..cut]).is_err());
        }
        assert!(GlobalAdapter::from_bytes(&[bytes, vec![0]].concat()).is_err());
    }
}

#[test]
fn momentum_carries_the_mean_on_and_adam_starts_with_a_step_of_eta() {
    let mut state = (0.0, 0.0);
    let momentum = ServerOptimizer::Momentum { eta: 2.0, beta: 0.5 };
    assert_eq!(momentum.step(1.0, [&mut state.0, &mut state.1], 1), 2.0);
    assert_eq!(momentum.step(1.0, [&mut state.0, &mut state.1], 2), 3.0);
    let mut state = (0.0, 0.0);
    let adam = ServerOptimizer::Adam { eta: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-12 };
    let step = adam.step(-0.37, [&mut state.0, &mut state.1], 1);
    assert!((step + 0.1).abs() < 1e-9, "{step}");
}

/// Pinned: with another value, members of different versions would diverge.
#[test]
fn the_first_adapter_and_a_round_are_the_same_everywhere() {
    let settings = settings(Algorithm::RoLora, PruneSchedule::constant(0.5));
    let mut global = adapter(&settings);
    let mut stream = Stream::new([2; 32], "test");
    let mut members = members(&global);
    let mut digests = vec![short(global.digest())];
    for _ in 0..4 {
        global = round(&global, &settings, &mut members, &mut stream).0;
        digests.push(short(global.digest()));
    }
    assert_eq!(short(global.layout().digest()), PINNED_LAYOUT);
    assert_eq!(digests, PINNED_ROUNDS);
}

const PINNED_LAYOUT: &str = "5a2909e1ae442c5f";
const PINNED_ROUNDS: [&str; 5] = [
    "8c86224f7acebb5a",
    "87713708a90c4a73",
    "dcb62a0e61ab171e",
    "ec1327c7e689a256",
    "0b88cb988ccb01d5",
];

fn short(digest: [u8; 32]) -> String {
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn local(rate: f64) -> Valid<FederatedSettings> {
    let rule = PruneRule::Local;
    let prune = PruneSchedule { rule, ..PruneSchedule::constant(rate) };
    settings(Algorithm::FedIt, prune).with(|it| it.clip_factor = 1e3).unwrap()
}

#[test]
fn local_pruning_sends_everything_and_zeroes_the_smallest_weights_of_each_tensor() {
    let settings = local(0.25);
    let global = adapter(&settings);
    let mask = global.mask(&settings, [1; 32]);
    assert_eq!(mask.len(), mask.dense_len());
    let theta = moved(&global, &mut Stream::new([4; 32], "test"), 0.5);
    let mut memory = LocalMemory::new(&global);
    let update = memory.prune_locally(&global, &theta, &settings).unwrap();
    assert_eq!(update.mask, mask);
    let weights: Vec<f32> =
        global.trained_values().iter().zip(&update.sent).map(|(g, x)| g + x).collect();
    let mut start = 0;
    for factor in global.trained_factors() {
        for (module, range) in global.layout().ranges(*factor) {
            let tensor = start..start + range.len();
            start = tensor.end;
            let (pruned, dense) = (&weights[tensor.clone()], &theta[tensor]);
            let kept = |i: &usize| pruned[*i].abs() > 1e-6;
            let (kept, gone): (Vec<usize>, Vec<usize>) = (0..dense.len()).partition(kept);
            assert_eq!(gone.len(), dense.len() / 4, "{module:?}");
            let smallest = kept.iter().map(|i| dense[*i].abs()).fold(f32::MAX, f32::min);
            assert!(gone.iter().all(|i| dense[*i].abs() <= smallest));
        }
    }
}

#[test]
fn the_mean_of_locally_pruned_weights_is_the_next_adapter() {
    let settings = local(0.5);
    let global = adapter(&settings);
    let scale = settings.scale(0, 30, 1);
    let mask = global.mask(&settings, [1; 32]);
    let (mut sum, mut mean) = (vec![0i64; mask.len()], vec![0f64; mask.len()]);
    let mut stream = Stream::new([8; 32], "test");
    for _ in 0..3 {
        let theta = moved(&global, &mut stream, 0.5);
        let mut memory = LocalMemory::new(&global);
        let update = memory.prune_locally(&global, &theta, &settings).unwrap();
        for (index, (x, g)) in update.encoded().iter().zip(global.trained_values()).enumerate() {
            sum[index] += (scale * f64::from(*x)).round() as i64;
            mean[index] += f64::from(x + g) / 3.0;
        }
    }
    let opened = UpdateSum { values: &sum, scale, weight_sum: 3, contributors: 3 };
    let next = global.apply(&settings, &mask, &opened).unwrap();
    let values = [Factor::A, Factor::B].map(|factor| next.values(factor).to_vec()).concat();
    let worst = values.iter().zip(&mean).map(|(v, m)| (f64::from(*v) - m).abs());
    assert!(worst.fold(0f64, f64::max) < 1e-5);
}

#[test]
fn local_pruning_forgets_what_it_pruned_but_not_an_update_that_was_left_out() {
    let settings = local(0.5);
    let global = adapter(&settings);
    let theta = moved(&global, &mut Stream::new([4; 32], "test"), 0.5);
    let mut memory = LocalMemory::new(&global);
    let update = memory.prune_locally(&global, &theta, &settings).unwrap();
    memory.spend(0, &update.mask, &update.sent).unwrap();
    let empty = LocalMemory::new(&global);
    memory.begin(1);
    assert!(memory == empty);
    memory.prune_locally(&global, &theta, &settings).unwrap();
    memory.skip();
    memory.begin(1);
    let remembered = [memory.factor(Factor::A), memory.factor(Factor::B)].concat();
    assert_eq!(remembered, update.sent);
    let mut bad = theta;
    bad[3] = f32::NAN;
    let refused = memory.prune_locally(&global, &bad, &settings);
    assert!(matches!(refused, Err(crate::TrainError::NotFinite { what: "update", .. })));
}

/// A round with a decided set whose sum failed leaves the adapter as it was: the next training
/// starts where the last one did, so its update already contains what the last one left out.
#[test]
fn a_void_rounds_progress_is_counted_once_and_nothing_older_is_lost() {
    let settings = settings(Algorithm::Ffa, PruneSchedule::constant(0.5));
    let mut stream = Stream::new([6; 32], "test");
    let mut members = members(&adapter(&settings));
    // An applied round first, so that error feedback exists, which no void round may lose.
    let mut global = adapter(&settings);
    for _ in 0..2 {
        global = round(&global, &settings, &mut members, &mut stream).0;
    }
    let (t, theta) = (global.applied(), moved(&global, &mut stream, 0.02));
    let sends = |memory: &mut LocalMemory, seed: u8| {
        let mask = global.mask(&settings, [seed; 32]);
        let update = memory.prune(&global, &theta, mask.clone(), &settings).unwrap();
        memory.spend(t, &mask, &update.sent).unwrap();
        (mask, update.sent)
    };
    let mut without = members[0].memory.clone();
    let mut with = members[0].memory.clone();
    for seed in 1..4 {
        // Decided, but void.
        sends(&mut with, seed);
        with = LocalMemory::from_bytes(&with.to_bytes()).unwrap();
    }
    assert_eq!(sends(&mut with, 9).1, sends(&mut without, 9).1);
    // Applied at last: exactly one training's remainder is remembered.
    let (mut next, mut expected) = (with, without);
    next.begin(t + 1);
    expected.begin(t + 1);
    assert!(next == expected);
    assert!(next.factor(Factor::B).iter().any(|e| *e != 0.0));
}
