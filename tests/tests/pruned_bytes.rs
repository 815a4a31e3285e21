//! Pruning saves bytes: with the shared mask the ciphertext shrinks with the pruning rate, with the
//! paper's rule it does not.

use std::path::Path;

use fedshield_he::{Preset, ciphertext_len};
use fedshield_train::Valid;
use fedshield_train::federated::{
    AdapterLayout, AdapterSpec, Algorithm, FederatedSettings, GlobalAdapter, PruneRule,
    PruneSchedule, UpdateSum,
};
use fedshield_train::model::ModelConfig;

/// The shape of SmolLM2-135M: adapters of some hundred blocks, so that the last one, partly filled,
/// does not count.
const SHAPE: &str = r#"{"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152}"#;

/// Values that a member sends in the third round, and the ciphertext's bytes.
fn sent(rule: PruneRule, rate: f64, algorithm: Algorithm) -> (usize, u64) {
    let config = ModelConfig::from_json(SHAPE, Path::new("shape")).expect("the shape reads");
    let rank = if algorithm == Algorithm::FedSb { 128 } else { 32 };
    let settings = Valid::new(FederatedSettings {
        adapter: AdapterSpec { rank, alpha: 64.0, ..AdapterSpec::default() },
        algorithm,
        prune: PruneSchedule { rule, ..PruneSchedule::constant(rate) },
        ..FederatedSettings::default()
    })
    .unwrap();
    let layout = AdapterLayout::new(&config, &settings.adapter).expect("the adapter fits");
    let mut global = GlobalAdapter::new(layout, &settings, [1; 32]);
    // Two rounds in which everything is sent give every coordinate a score.
    for t in 0..2 {
        let mask = global.mask(&settings, [t; 32]);
        let values: Vec<i64> = (0..mask.len() as i64).map(|i| i % 101 - 50).collect();
        let sum = UpdateSum {
            values: &values,
            scale: settings.scale(global.applied(), 16, 1),
            weight_sum: 3,
            contributors: 3,
        };
        global = global.apply(&settings, &mask, &sum).expect("the sum is in range");
    }
    let values = global.mask(&settings, [9; 32]).len();
    let preset = Preset::for_federation(16, 4).expect("there is a preset");
    (values, ciphertext_len(preset, values as u64).expect("the length is known"))
}

#[test]
fn bytes_fall_in_proportion_to_the_pruning_rate() {
    for algorithm in Algorithm::ALL {
        let (all, dense) = sent(PruneRule::Shared, 0.0, algorithm);
        for rate in [0.1, 0.25, 0.5, 0.75, 0.9] {
            let (values, bytes) = sent(PruneRule::Shared, rate, algorithm);
            assert_eq!(values, ((1.0 - rate) * all as f64).ceil() as usize);
            let share = bytes as f64 / dense as f64;
            // What is left over is the header and the last, partly filled block.
            let excess = share - (1.0 - rate);
            assert!((0.0..0.02).contains(&excess), "{algorithm:?} {rate}: {share}");
            let local = sent(PruneRule::Local, rate, algorithm);
            assert_eq!(local, (all, dense), "{algorithm:?} {rate}");
        }
    }
}
