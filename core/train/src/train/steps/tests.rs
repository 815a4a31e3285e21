//! Steps on tensors against steps on vectors. Tensors of the processor stand in for those of a
//! device.

use std::path::Path;

use super::on_device::OnDevice;
use super::on_host::OnHost;
use super::*;
use crate::Valid;
use crate::federated::{AdapterLayout, AdapterSpec, Algorithm, FederatedSettings};
use crate::model::{BasePrecision, ModelConfig, TensorSource, TokenSequence};
use crate::random::Stream;

struct Random;

impl TensorSource for Random {
    fn path(&self) -> &Path {
        Path::new("random weights")
    }

    fn contains(&self, _: &str) -> bool {
        true
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut stream = Stream::new([3; 32], name);
        let count = shape.iter().product();
        Ok((0..count).map(|_| (stream.unit() as f32 - 0.5) * 0.6).collect())
    }
}

fn decoder() -> Decoder {
    let json = r#"{"model_type": "llama", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 31}"#;
    let config = ModelConfig::from_json(json, Path::new("test")).unwrap();
    Decoder::load(&config, &Random, &crate::cpu(), BasePrecision::F32).unwrap()
}

fn batch(first: u32) -> Batch {
    let sequence = |from: u32| TokenSequence {
        ids: (0..7).map(|i| (from + 5 * i) % 31).collect(),
        labels: vec![true; 7],
    };
    let (one, other) = (sequence(first), sequence(first + 11));
    Batch::packed(&[&one, &other]).unwrap()
}

#[test]
fn a_device_takes_the_steps_of_the_processor() {
    let decoder = decoder();
    for algorithm in [Algorithm::FedIt, Algorithm::Ffa, Algorithm::FedSb] {
        let spec = AdapterSpec { rank: 4, alpha: 8.0, ..AdapterSpec::default() };
        let settings = Valid::new(FederatedSettings {
            adapter: spec,
            algorithm,
            ..FederatedSettings::default()
        })
        .unwrap();
        let layout = AdapterLayout::new(decoder.config(), &settings.adapter).unwrap();
        let first = GlobalAdapter::new(layout, &settings, [1; 32]);
        // Away from zero, so that moments and weight decay have an effect.
        let values: Vec<f32> =
            (0..first.trained_len()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 300.0).collect();
        let mut adapter = first.clone();
        adapter.set_trained(&values).unwrap();
        let optimizer = AdamWSettings { weight_decay: 0.1, ..AdamWSettings::default() };
        // The first bound is far above the norm of the gradient, the second far below.
        for bound in [1e3, 1e-2] {
            let mut host = OnHost::new(&decoder, &adapter, optimizer, bound);
            let mut device = OnDevice::new(&decoder, &adapter, optimizer, bound);
            for step in 0..4 {
                let batches = [batch(step), batch(step + 3)];
                let ours = device.step(&batches, 1e-2).unwrap();
                let theirs = host.step(&batches, 1e-2).unwrap();
                let near = |x: f64, y: f64| (x - y).abs() <= 1e-4 * y.abs();
                assert!(near(ours.loss, theirs.loss), "{ours:?} {theirs:?}");
                assert!(near(ours.gradient_norm, theirs.gradient_norm), "{ours:?} {theirs:?}");
            }
            let (ours, theirs) = (device.theta(), host.theta());
            assert_eq!(ours.len(), theirs.len());
            let moved = theirs.iter().zip(&values).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
            let apart = ours.iter().zip(&theirs).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
            assert!(moved > 1e-2 && apart < 1e-2 * moved, "{algorithm:?}: {apart} of {moved}");
        }
    }
}
