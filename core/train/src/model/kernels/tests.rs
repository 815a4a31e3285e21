//! Host kernels against the same formulas in tensor operations.

use burn_tensor::Distribution;

use super::*;
use crate::model::ModelConfig;
use crate::model::rope::RopeTable;
use crate::model::to_vec;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.5), &crate::cpu())
}

#[track_caller]
fn close<const D: usize>(ours: Tensor<D>, reference: Tensor<D>) {
    assert_eq!(ours.dims(), reference.dims());
    let (ours, reference) = (to_vec(ours), to_vec(reference));
    let largest = reference.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let worst = ours.iter().zip(&reference).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 2e-6 * largest, "{worst:e} of {largest:e}");
}

#[test]
fn norm() {
    let (x, dy, gamma) = (random([37, 21]), random([37, 21]), random([21]));
    let (y, inverse) = rms_norm(&x, &gamma, 1e-5);
    let (reference, reference_inverse) = generic::rms_norm(&x, &gamma, 1e-5);
    close(y, reference);
    close(inverse.clone(), reference_inverse);
    close(
        rms_norm_backward(&dy, &x, &inverse, &gamma),
        generic::rms_norm_backward(&dy, &x, &inverse, &gamma),
    );
}

#[test]
fn gated_units() {
    let (d, gate, up) = (random([5, 33]), random([5, 33]).mul_scalar(4.0), random([5, 33]));
    close(swiglu(&gate, &up), generic::swiglu(&gate, &up));
    let (d_gate, d_up) = swiglu_backward(&d, &gate, &up);
    let (reference_gate, reference_up) = generic::swiglu_backward(&d, &gate, &up);
    close(d_gate, reference_gate);
    close(d_up, reference_up);
}

#[test]
fn gated_units_with_gelu() {
    let (d, gate, up) = (random([5, 33]), random([5, 33]).mul_scalar(4.0), random([5, 33]));
    let gelu = Activation::GeluTanh;
    close(gated(&gate, &up, gelu), generic::geglu(&gate, &up));
    let (d_gate, d_up) = gated_backward(&d, &gate, &up, gelu);
    let (reference_gate, reference_up) = generic::geglu_backward(&d, &gate, &up);
    close(d_gate, reference_gate);
    close(d_up, reference_up);
}

#[test]
fn rotation_splits_and_joins() {
    let json = r#"{"model_type": "llama", "hidden_size": 24, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 3, "vocab_size": 4}"#;
    let config = ModelConfig::from_json(json, std::path::Path::new("test")).unwrap();
    let rope = RopeTable::new(&config, 7, &crate::cpu());
    let shape = [2, 3, 7, 8];
    let x = random([14, 24]);
    let split = split_heads(x.clone(), shape, Some(&rope), 0.5);
    let reference = rope.rotate(x.clone().reshape([2, 7, 3, 8]).swap_dims(1, 2)).mul_scalar(0.5);
    close(split.clone(), reference);
    // A rotation's transpose is its inverse.
    close(join_heads(split, shape, Some(&rope), 2.0), x.clone());
    let plain = split_heads(x.clone(), shape, None, 1.0);
    close(plain.clone(), x.clone().reshape([2, 7, 3, 8]).swap_dims(1, 2));
    close(join_heads(plain, shape, None, 1.0), x);
}

#[test]
fn heads_of_which_a_part_is_rotated() {
    let json = r#"{"model_type": "phi3", "hidden_size": 24, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 3, "num_key_value_heads": 3,
        "vocab_size": 9, "partial_rotary_factor": 0.5}"#;
    let config = ModelConfig::from_json(json, std::path::Path::new("test")).unwrap();
    let rope = RopeTable::new(&config, 7, &crate::cpu());
    assert_eq!(rope.half(), 2);
    let (shape, x) = ([2, 3, 7, 8], random([14, 24]));
    let split = split_heads(x.clone(), shape, Some(&rope), 0.5);
    let heads = x.clone().reshape([2, 7, 3, 8]).swap_dims(1, 2);
    close(split.clone(), rope.rotate(heads.clone()).mul_scalar(0.5));
    close(split.clone().narrow(3, 4, 4).mul_scalar(2.0), heads.narrow(3, 4, 4));
    close(join_heads(split, shape, Some(&rope), 2.0), x);
}

#[test]
fn losses_and_their_gradient() {
    let logits = random([6, 45]).mul_scalar(3.0);
    let targets = [0u32, 44, 7, 7, 13, 21];
    let [targets] = Indices::put([&targets], &crate::cpu());
    let (loss, gradient) = cross_entropy(logits.clone(), &targets, 0.25);
    let (reference, reference_gradient) =
        generic::cross_entropy(logits.clone(), targets.tensor.clone(), 0.25);
    let (loss, reference) = (loss.value(), LossSum::Device(reference).value());
    assert!((loss - reference).abs() < 1e-5 * reference);
    close(gradient, reference_gradient);
    let each = losses(logits.clone(), &targets);
    assert!((each.iter().sum::<f64>() - loss).abs() < 1e-6 * loss);
    let generic: Vec<f32> = to_vec(generic::losses(logits, targets.tensor.clone()));
    for (each, generic) in each.iter().zip(generic) {
        assert!((each - f64::from(generic)).abs() < 1e-5, "{each} {generic}");
    }
}
