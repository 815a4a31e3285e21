//! Steps on tensors against steps on vectors. Tensors of the processor stand in for those of a
//! device.

use std::path::Path;

use super::on_device::OnDevice;
use super::on_host::OnHost;
use super::*;
use crate::Valid;
use crate::federated::{
    AdapterLayout, AdapterSpec, Algorithm, Factor, FederatedSettings, LearningRate,
};
use crate::model::{BasePrecision, ModelConfig, TensorSource, TokenSequence};
use crate::random::Stream;
use crate::train::optimizer_state::Moments;

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

/// An adapter away from zero, so that moments, weight decay and the pull to the start have an
/// effect.
fn start(decoder: &Decoder, algorithm: Algorithm) -> (GlobalAdapter, Valid<FederatedSettings>) {
    let settings = Valid::new(FederatedSettings {
        adapter: AdapterSpec { rank: 4, alpha: 8.0, ..AdapterSpec::default() },
        algorithm,
        steps: 4,
        learning_rate: LearningRate { peak: 1e-2, last: 1e-2, rounds: 4 },
        rate_ratio: if algorithm == Algorithm::FedSb { 1.0 } else { 2.0 },
        ..FederatedSettings::default()
    })
    .unwrap();
    let layout = AdapterLayout::new(decoder.config(), &settings.adapter).unwrap();
    let mut adapter = GlobalAdapter::new(layout, &settings, [1; 32]);
    let len = adapter.trained_len();
    let values: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 300.0).collect();
    adapter.set_trained(&values).unwrap();
    (adapter, settings)
}

/// AdamW with a strong weight decay, and a bound far above the norm of any gradient here.
fn local(proximal: f64) -> LocalSettings {
    let optimizer = AdamWSettings { weight_decay: 0.1, ..AdamWSettings::default() };
    LocalSettings { optimizer, max_gradient_norm: 1e3, proximal }
}

/// The largest difference between two vectors.
fn apart(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max)
}

#[test]
fn a_device_takes_the_steps_of_the_processor() {
    let decoder = decoder();
    for algorithm in [Algorithm::FedIt, Algorithm::Ffa, Algorithm::FedSb, Algorithm::Halves] {
        let (adapter, settings) = start(&decoder, algorithm);
        // The first bound is far above the norm of the gradient, the second far below.
        for (bound, proximal) in [(1e3, 0.0), (1e-2, 0.0), (1e3, 2.0)] {
            let local = LocalSettings { max_gradient_norm: bound, ..local(proximal) };
            // First with fresh moments, then with those of the first run.
            let mut state = OptimizerState::default();
            for _ in 0..2 {
                let mut host = OnHost::new(&decoder, &adapter, &local, &state).unwrap();
                let mut device = OnDevice::new(&decoder, &adapter, &local, &state).unwrap();
                for step in 0..settings.steps {
                    let batches = [batch(step as u32), batch(step as u32 + 3)];
                    let rates = settings.step_rates(0, step);
                    let ours = device.step(&batches, rates).unwrap();
                    let theirs = host.step(&batches, rates).unwrap();
                    let near = |x: f64, y: f64| (x - y).abs() <= 1e-4 * y.abs();
                    assert!(near(ours.loss, theirs.loss), "{ours:?} {theirs:?}");
                    assert!(near(ours.gradient_norm, theirs.gradient_norm), "{ours:?} {theirs:?}");
                }
                let moved = apart(&host.theta(), &adapter.trained_values());
                let difference = apart(&device.theta(), &host.theta());
                let case = format!("{algorithm:?} {bound} {proximal}: {difference} of {moved}");
                assert!(moved > 5e-3 && difference < 1e-2 * moved, "{case}");
                state = host.optimizer_state();
                for factor in adapter.trained_factors() {
                    let (ours, theirs) = (device.optimizer_state(), state.of(*factor).unwrap());
                    let ours = ours.of(*factor).unwrap();
                    assert_eq!(ours.steps, theirs.steps);
                    let largest = apart(&theirs.first, &vec![0.0; theirs.len()]);
                    assert!(apart(&ours.first, &theirs.first) < 1e-3 * largest, "{case}");
                }
            }
        }
    }
}

/// Kept at home between two runs, the moments make them one run; a fresh optimiser does not.
#[test]
fn steps_that_go_on_from_kept_moments_are_those_of_one_run() {
    let decoder = decoder();
    for algorithm in [Algorithm::FedIt, Algorithm::Ffa, Algorithm::FedSb] {
        let (adapter, _) = start(&decoder, algorithm);
        let run = |adapter: &GlobalAdapter, state: &OptimizerState, steps: std::ops::Range<u32>| {
            let mut run = OnHost::new(&decoder, adapter, &local(0.0), state).unwrap();
            for step in steps {
                run.step(&[batch(step)], StepRates::all(1e-2)).unwrap();
            }
            let mut next = adapter.clone();
            next.set_trained(&run.theta()).unwrap();
            (next, run.optimizer_state())
        };
        let fresh = OptimizerState::default();
        let (whole, whole_state) = run(&adapter, &fresh, 0..6);
        let (half, state) = run(&adapter, &fresh, 0..3);
        let (again, again_state) = run(&half, &state, 3..6);
        assert_eq!((&again, &again_state), (&whole, &whole_state), "{algorithm:?}");
        assert_ne!(run(&half, &fresh, 3..6).0, whole);
    }
}

#[test]
fn a_state_of_another_size_is_refused() {
    let decoder = decoder();
    let (adapter, _) = start(&decoder, Algorithm::FedIt);
    let mut state = OptimizerState::default();
    state.set(Factor::B, Moments::fresh(3));
    let refused = OnHost::new(&decoder, &adapter, &local(0.0), &state).err().unwrap().to_string();
    assert!(refused.contains("3 values"), "{refused}");
    assert!(OnDevice::new(&decoder, &adapter, &local(0.0), &state).is_err());
}

/// A factor with a rate of zero stays as it is, with its moments; the other one moves as if it were
/// alone.
#[test]
fn halves_move_one_factor_at_a_time() {
    let decoder = decoder();
    let (adapter, settings) = start(&decoder, Algorithm::Halves);
    let a = adapter.layout().len(Factor::A);
    let before = adapter.trained_values();
    let mut run = OnHost::new(&decoder, &adapter, &local(0.0), &OptimizerState::default()).unwrap();
    for step in 0..settings.steps {
        run.step(&[batch(step as u32)], settings.step_rates(1, step)).unwrap();
        let moved_b = run.theta()[a..] != before[a..];
        assert_eq!(moved_b, step >= settings.steps / 2, "step {step}");
    }
    let state = run.optimizer_state();
    assert_eq!([Factor::A, Factor::B].map(|it| state.of(it).unwrap().steps), [2, 2]);
    assert!(run.theta()[..a] != before[..a]);
}

/// Minimising the loss plus mu/2 |w - start|^2: the stronger the pull, the nearer it stays.
#[test]
fn the_proximal_term_keeps_the_values_near_their_start() {
    let decoder = decoder();
    let (adapter, _) = start(&decoder, Algorithm::FedIt);
    let distance = |mu: f64| {
        // Without Adam's normalisation only the direction would count.
        let optimizer = AdamWSettings { epsilon: 1.0, weight_decay: 0.0, ..local(mu).optimizer };
        let settings = LocalSettings { optimizer, ..local(mu) };
        let state = OptimizerState::default();
        let mut run = OnHost::new(&decoder, &adapter, &settings, &state).unwrap();
        for _ in 0..30 {
            run.step(&[batch(0)], StepRates::all(0.1)).unwrap();
        }
        let pairs = run.theta().into_iter().zip(adapter.trained_values());
        pairs.map(|(w, start)| f64::from(w - start).powi(2)).sum::<f64>().sqrt()
    };
    let distances = [0.0, 0.3, 10.0].map(distance);
    assert!(
        distances[0] > 1.2 * distances[1] && distances[1] > 2.0 * distances[2],
        "{distances:?}"
    );
    // The first step does not depend on it.
    let first = |mu: f64| {
        let state = OptimizerState::default();
        let mut run = OnHost::new(&decoder, &adapter, &local(mu), &state).unwrap();
        run.step(&[batch(0)], StepRates::all(0.1)).unwrap();
        run.theta()
    };
    assert_eq!(first(0.0), first(10.0));
}
