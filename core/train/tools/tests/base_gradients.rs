//! The hand-written backward pass against finite differences.

use std::path::Path;

use fedshield_train::model::{BasePrecision, Batch, Decoder, ModelConfig, TokenSequence};
use fedshield_train::{Valid, cpu};
use fedshield_train_tools::BaseWeights;

fn config(json: serde_json::Value) -> Valid<ModelConfig> {
    let mut base = serde_json::json!({
        "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 23, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 64, "tie_word_embeddings": true,
    });
    for (key, value) in json.as_object().unwrap() {
        base[key] = value.clone();
    }
    ModelConfig::from_json(&base.to_string(), Path::new("test")).unwrap()
}

fn batch() -> Batch {
    let sequence = |ids: &[u32], from: usize| TokenSequence {
        ids: ids.to_vec(),
        labels: (0..ids.len()).map(|i| i >= from).collect(),
    };
    let (long, short) = (sequence(&[3, 1, 4, 1, 5, 9, 2], 3), sequence(&[6, 5, 3, 5], 1));
    Batch::new(&[&long, &short]).unwrap()
}

fn check_every_parameter(config: &Valid<ModelConfig>) {
    let weights = BaseWeights::random(config, 7, 0.3);
    let decoder = |w: &BaseWeights| Decoder::load(config, w, &cpu(), BasePrecision::F32).unwrap();
    let analytic = decoder(&weights).base_gradients(&batch()).unwrap();
    let loss = |w: &BaseWeights| decoder(w).base_loss(&batch()).unwrap();
    assert!((loss(&weights) - analytic.loss).abs() < 1e-6);
    for (name, gradient) in &analytic.gradients {
        let scale = gradient.iter().fold(0f32, |m, g| m.max(g.abs())).max(1e-3);
        let step = (gradient.len() / 5).max(1);
        for index in (0..gradient.len()).step_by(step) {
            let h = 4e-3f32;
            let mut moved = weights.clone();
            let at = |moved: &mut BaseWeights, by: f32| {
                let values = &mut moved.tensors.get_mut(name).unwrap().values;
                values[index] = weights.tensors[name].values[index] + by;
            };
            at(&mut moved, h);
            let up = loss(&moved);
            at(&mut moved, -h);
            let down = loss(&moved);
            let numeric = ((up - down) / (2.0 * f64::from(h))) as f32;
            let difference = (numeric - gradient[index]).abs();
            assert!(difference < 0.03 * scale, "{name}[{index}]: {numeric} {}", gradient[index]);
        }
    }
    assert_eq!(analytic.gradients.len(), weights.tensors.len());
}

#[test]
fn llama_gradients() {
    check_every_parameter(&config(serde_json::json!({})));
}

#[test]
fn untied_head_with_biases() {
    check_every_parameter(&config(serde_json::json!({
        "tie_word_embeddings": false, "attention_bias": true, "mlp_bias": true,
    })));
}

#[test]
fn qwen3_head_norms() {
    check_every_parameter(&config(serde_json::json!({"model_type": "qwen3", "head_dim": 6})));
}

#[test]
fn mistral_window() {
    let windowed = serde_json::json!({"model_type": "mistral", "sliding_window": 2});
    check_every_parameter(&config(windowed));
}

#[test]
fn smollm3_with_a_layer_without_rope() {
    check_every_parameter(&config(serde_json::json!({
        "model_type": "smollm3", "no_rope_layers": [1, 0], "attention_bias": true,
    })));
}

#[test]
fn granite_multipliers() {
    check_every_parameter(&config(serde_json::json!({
        "model_type": "granite", "embedding_multiplier": 1.5, "attention_multiplier": 0.3,
        "residual_multiplier": 0.7, "logits_scaling": 1.6,
    })));
}

#[test]
fn olmo_norms_behind_the_blocks() {
    for family in ["olmo2", "olmo3"] {
        check_every_parameter(&config(serde_json::json!({
            "model_type": family, "tie_word_embeddings": false,
        })));
    }
}

#[test]
fn seed_oss_biases() {
    check_every_parameter(&config(serde_json::json!({
        "model_type": "seed_oss", "head_dim": 6, "attention_out_bias": true,
    })));
}

#[test]
fn phi3_fused_projections() {
    check_every_parameter(&config(serde_json::json!({
        "model_type": "phi3", "partial_rotary_factor": 0.5, "tie_word_embeddings": false,
    })));
}

#[test]
fn gemma3_local_and_global_layers() {
    check_every_parameter(&config(serde_json::json!({
        "model_type": "gemma3_text", "head_dim": 6, "query_pre_attn_scalar": 8, "sliding_window": 2,
        "layer_types": ["sliding_attention", "full_attention"],
    })));
}

#[test]
fn a_mixture_of_experts_has_no_gradients_of_its_base() {
    let config = config(serde_json::json!({
        "model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 8,
    }));
    let weights = BaseWeights::random(&config, 7, 0.3);
    let decoder = Decoder::load(&config, &weights, &cpu(), BasePrecision::F32).unwrap();
    let error = decoder.base_gradients(&batch()).unwrap_err().to_string();
    assert!(error.contains("qwen3_moe") && error.contains("router"), "{error}");
    assert!(decoder.base_loss(&batch()).unwrap().is_finite());
}
