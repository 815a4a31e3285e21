//! Factors with learning rates of their own: bounds, quantisation, apply.

use super::*;

const BITS: u32 = 16;
/// Quanta of the largest value.
const MOST: f64 = 32_766.0;

/// What a round of `global` changes if one member sends values that reach from minus the bound of
/// each factor to plus the bound; with the largest error of A and of B, in parts of the factor's
/// bound.
fn errors(settings: &Valid<FederatedSettings>) -> [f64; 2] {
    let global = adapter(settings);
    let bounds = global.bounds(settings);
    let all = global.trained_len();
    let wanted: Vec<f32> = (0..all)
        .map(|index| bounds.clip(index) * (((index * 37) % 101) as f32 / 50.0 - 1.0))
        .collect();
    let theta: Vec<f32> = global.trained_values().iter().zip(&wanted).map(|(g, x)| g + x).collect();
    let mask = Mask::full(all);
    let mut memory = LocalMemory::new(&global);
    let update = memory.prune(&global, &theta, mask.clone(), settings).unwrap();
    let scale = settings.scale(0, BITS, 1);
    let quantised: Vec<i64> =
        update.encoded().iter().map(|x| (scale * f64::from(*x)).round() as i64).collect();
    assert!(quantised.iter().all(|value| value.abs() <= MOST as i64));
    let sum = UpdateSum { values: &quantised, scale, weight_sum: 1, contributors: 1 };
    let next = global.apply(settings, &mask, &sum).unwrap();
    let moved = next.values(Factor::A).iter().chain(next.values(Factor::B));
    let moved = moved.zip(global.trained_values()).map(|(next, g)| next - g);
    let mut worst = [0f64; 2];
    for (index, (moved, wanted)) in moved.zip(&wanted).enumerate() {
        let error = f64::from((moved - wanted).abs() / bounds.clip(index));
        let factor = usize::from(index >= global.layout().len(Factor::A));
        worst[factor] = worst[factor].max(error);
    }
    worst
}

/// At one bound for both factors, either A would use the 16th part of the quanta and have an error
/// 16 times as large, or B would be clipped to the 16th part of its steps.
#[test]
fn with_a_ratio_of_16_both_factors_keep_their_precision() {
    for (algorithm, ratio) in
        [(Algorithm::FedIt, 1.0), (Algorithm::FedIt, 16.0), (Algorithm::Halves, 16.0)]
    {
        let settings = settings(algorithm, PruneSchedule::constant(0.0))
            .with(|it| it.rate_ratio = ratio)
            .unwrap();
        let [of_a, of_b] = errors(&settings);
        // Half a quantum, and what f32 rounds.
        let most = 0.6 / MOST;
        assert!(of_a < most && of_b < most, "{algorithm:?} {ratio}: {of_a} {of_b}");
        assert!(of_a > 0.1 / MOST && of_b > 0.1 / MOST, "{of_a} {of_b}");
    }
}

#[test]
fn the_bound_of_a_factor_follows_its_rate_and_its_steps() {
    let with = |algorithm, ratio, steps| {
        settings(algorithm, PruneSchedule::constant(0.0))
            .with(|it| (it.rate_ratio, it.steps) = (ratio, steps))
            .unwrap()
    };
    let near = |x: f32, y: f32| (x - y).abs() < 1e-6 * y;
    let fedit = with(Algorithm::FedIt, 4.0, 10);
    assert!(near(fedit.clip(0, Factor::A), 0.1) && near(fedit.clip(0, Factor::B), 0.4));
    assert_eq!((fedit.unit(0, Factor::A), fedit.unit(0, Factor::B)), (1.0, 4.0));
    // B has the first 3 of 7 steps of the first round, and the last 4 of every other.
    let halves = with(Algorithm::Halves, 1.0, 7);
    assert!(near(halves.clip(0, Factor::B), 0.03) && near(halves.clip(0, Factor::A), 0.04));
    assert!(near(halves.clip(1, Factor::B), 0.04) && near(halves.clip(1, Factor::A), 0.03));
    // A round that trains B alone has B's scale.
    let rolora = with(Algorithm::RoLora, 4.0, 10);
    assert!(near(rolora.clip(0, Factor::B), 4.0 * rolora.clip(0, Factor::A)));
    assert_eq!(rolora.scale(0, BITS, 1), MOST / f64::from(rolora.clip(0, Factor::B)));
    assert_eq!(rolora.scale(1, BITS, 1), MOST / f64::from(rolora.clip(1, Factor::A)));
    assert_eq!(rolora.unit(0, Factor::B), 1.0);
}

/// A coordinate of either factor that no clipped updates can add up to is rejected.
#[test]
fn sums_out_of_the_range_of_either_factor_are_rejected() {
    let settings = settings(Algorithm::FedIt, PruneSchedule::constant(0.0))
        .with(|it| it.rate_ratio = 16.0)
        .unwrap();
    let global = adapter(&settings);
    let mask = Mask::full(global.trained_len());
    let scale = settings.scale(0, BITS, 1);
    for index in [0, mask.len() - 1] {
        for (value, accepted) in [(3 * 32_766 + 3, true), (3 * 32_766 + 4, false)] {
            let mut values = vec![0i64; mask.len()];
            values[index] = value;
            let sum = UpdateSum { values: &values, scale, weight_sum: 3, contributors: 3 };
            assert_eq!(global.apply(&settings, &mask, &sum).is_ok(), accepted, "{index} {value}");
        }
    }
}

#[test]
fn error_feedback_of_both_factors_is_in_their_own_unit() {
    let settings = settings(Algorithm::FedIt, PruneSchedule::constant(0.5))
        .with(|it| it.rate_ratio = 16.0)
        .unwrap();
    let global = adapter(&settings);
    let theta: Vec<f32> = global.trained_values().iter().map(|g| g + 0.3).collect();
    let mut memory = LocalMemory::new(&global);
    let update = memory.prune(&global, &theta, Mask::full(theta.len()), &settings).unwrap();
    memory.spend(0, &update.mask, &update.sent).unwrap();
    memory.begin(1);
    // A is clipped to 0.1 and keeps the rest; B has a bound of 1.6.
    assert!(memory.factor(Factor::A).iter().all(|rest| (rest - 0.2).abs() < 1e-6));
    assert!(memory.factor(Factor::B).iter().all(|rest| rest.abs() < 1e-6));
    assert_eq!(update.clipped, global.layout().len(Factor::A));
}

/// v = 0.5 v + mean, and the step is the mean plus half of v: Nesterov's momentum in PyTorch's form.
#[test]
fn nesterov_looks_ahead() {
    let mut state = (0.0, 0.0);
    let nesterov = ServerOptimizer::Nesterov { eta: 2.0, beta: 0.5 };
    // v = 1: 2 (1 + 0.5); v = 1.5: 2 (1 + 0.75); v = -0.25: 2 (-1 - 0.125).
    for (mean, expected) in [(1.0, 3.0), (1.0, 3.5), (-1.0, -2.25)] {
        assert_eq!(nesterov.step(mean, [&mut state.0, &mut state.1], 1), expected);
    }
}

#[test]
fn rslora_scales_by_the_root_of_the_rank_and_has_bytes_of_its_own() {
    let plain = settings(Algorithm::FedIt, PruneSchedule::constant(0.0));
    let rslora = plain.with(|it| it.adapter.rslora = true).unwrap();
    let adapters = [&plain, &rslora].map(adapter);
    let [layout, of_rslora] = adapters.each_ref().map(|it| it.layout());
    assert_eq!(layout.scale(), 4.0 / 2.0);
    assert!((of_rslora.scale() - 4.0 / 2f64.sqrt()).abs() < 1e-12);
    assert_ne!(layout.digest(), of_rslora.digest());
    let bytes = adapters.each_ref().map(GlobalAdapter::to_bytes);
    assert_eq!((&bytes[0][..8], &bytes[1][..8]), (&b"FSADAPT1"[..], &b"FSADAPT2"[..]));
    for (bytes, adapter) in bytes.iter().zip(&adapters) {
        assert_eq!(GlobalAdapter::from_bytes(bytes).unwrap(), *adapter);
    }
    assert!(adapters[1].check_settings(&rslora).is_ok());
    let error = adapters[1].check_settings(&plain).unwrap_err().to_string();
    assert!(error.contains("rsLoRA"), "{error}");
    assert!(rslora.adapter.to_string().contains("rsLoRA"));
}
