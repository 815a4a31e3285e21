//! What a `config.json` means, and what is refused.

use std::path::Path;

use serde_json::{Value, json};

use super::ModelConfig;
use crate::Valid;

/// A small configuration of a family, with some fields set.
fn read(family: &str, extra: Value) -> Result<Valid<ModelConfig>, String> {
    let mut json = json!({
        "model_type": family, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64, "head_dim": 8,
    });
    for (key, value) in extra.as_object().unwrap() {
        json[key] = value.clone();
    }
    ModelConfig::from_json(&json.to_string(), Path::new("config.json")).map_err(|e| e.to_string())
}

#[test]
fn what_changes_the_computation_and_is_not_followed_is_refused_by_name() {
    let cases = [
        ("llama", json!({"attn_logit_softcapping": 50.0})),
        ("gemma3_text", json!({"final_logit_softcapping": 30.0})),
        ("llama", json!({"sliding_window": 4096})),
        ("llama", json!({"partial_rotary_factor": 0.5})),
        ("qwen2", json!({"query_pre_attn_scalar": 24})),
        ("llama", json!({"logit_scale": 0.5})),
        ("llama", json!({"residual_multiplier": 0.22})),
        ("mistral", json!({"embedding_multiplier": 12})),
        ("llama", json!({"no_rope_layers": [1, 1, 0]})),
        ("qwen3", json!({"no_rope_layer_interval": 4})),
        ("llama", json!({"attention_sinks": true})),
        ("llama", json!({"attention_chunk_size": 8192})),
        ("llama", json!({"is_causal": false})),
        ("gemma3_text", json!({"use_bidirectional_attention": true})),
        ("llama", json!({"num_local_experts": 8})),
        ("llama", json!({"hidden_act": "gelu"})),
        ("llama", json!({"qk_norm": true})),
        (
            "llama",
            json!({"layer_types": ["full_attention", "sliding_attention", "full_attention"]}),
        ),
        (
            "qwen3",
            json!({"layer_types": ["full_attention", "chunked_attention", "full_attention"]}),
        ),
        ("qwen3", json!({"layer_types": ["full_attention"]})),
        ("mistral", json!({"sliding_window": 0})),
        ("llama", json!({"rope_scaling": {"rope_type": "linear", "factor": 2, "surprise": 1}})),
        ("llama", json!({"rope_scaling": {"rope_type": "proportional", "factor": 2}})),
        ("llama", json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}})),
        ("smollm3", json!({"no_rope_layers": [1, 0]})),
        ("granite", json!({"logits_scaling": 0})),
        ("llama", json!({"rms_norm_eps": "1e-6"})),
        ("llama", json!({"num_attention_heads": 0})),
        ("llama", json!({"num_hidden_layers": 5000})),
        ("llama", json!({"head_dim": 7})),
    ];
    for (family, extra) in cases {
        let name = extra.as_object().unwrap().keys().next().unwrap().clone();
        let error = read(family, extra.clone()).expect_err(&format!("{family} {extra}"));
        // A field of the rotary scaling is named with its prefix, a size by its own name.
        let named =
            [name.as_str(), "surprise", "proportional", "full_attention", "logits", "heads"];
        assert!(named.iter().any(|n| error.contains(n)) || name == "head_dim", "{extra}: {error}");
        assert!(error.contains("config.json"), "{error}");
    }
}

#[test]
fn neutral_values_of_foreign_fields_are_no_reason_to_refuse() {
    let extra = json!({
        "attn_logit_softcapping": null, "sliding_window": null, "partial_rotary_factor": 1.0,
        "residual_multiplier": 1, "no_rope_layers": [1, 1, 1], "attention_sinks": false,
        "num_local_experts": 0, "is_causal": true, "pretraining_tp": 4, "_name_or_path": "x",
        "hidden_act": "swish", "use_cache": false, "torch_dtype": "bfloat16",
    });
    read("llama", extra).unwrap();
}

#[test]
fn an_unknown_family_is_told_what_to_do() {
    for family in [
        "mamba",
        "gemma2",
        "gemma3n",
        "gemma4",
        "llama4",
        "mixtral",
        "qwen2_moe",
        "qwen3_next",
        "qwen3_5",
        "gpt_oss",
        "deepseek_v2",
        "deepseek_v3",
        "glm4",
        "glm4_moe",
        "ministral3",
        "granitemoe",
        "granitemoehybrid",
        "lfm2",
        "falcon",
        "stablelm",
        "phi4_multimodal",
        "ernie4_5",
        "hunyuan_v1_dense",
        "exaone4",
        "cohere2",
    ] {
        let error = read(family, json!({})).unwrap_err();
        assert!(error.contains(&format!("{family:?}")), "{error}");
        assert!(error.contains("trainer = \"command\""), "{error}");
        assert!(error.contains("docs/TRAINING.md"), "{error}");
    }
}

#[test]
fn defaults_are_those_of_transformers() {
    let windows = |family, extra| read(family, extra).unwrap().windows.clone();
    assert_eq!(windows("mistral", json!({})), [Some(4096); 3]);
    assert_eq!(windows("mistral", json!({"sliding_window": null})), [None; 3]);
    assert_eq!(windows("phi3", json!({"sliding_window": 9})), [Some(9); 3]);
    let qwen = json!({"use_sliding_window": true, "max_window_layers": 2});
    assert_eq!(windows("qwen2", qwen), [None, None, Some(4096)]);
    assert_eq!(windows("qwen2", json!({"sliding_window": 7})), [None; 3]);
    let gemma = windows("gemma3_text", json!({"num_hidden_layers": 7, "sliding_window": 5}));
    let mut expected = [Some(5); 7];
    expected[5] = None;
    assert_eq!(gemma, expected);
    let smol = read("smollm3", json!({"num_hidden_layers": 5})).unwrap();
    assert_eq!(smol.rope_layers, [true, true, true, false, true]);
    assert!(smol.tied_head);
    assert_eq!(read("llama", json!({"head_dim": null})).unwrap().head_dim, 8);
    // transformers refuses it there.
    assert!(read("qwen3", json!({"head_dim": null})).unwrap_err().contains("head_dim is null"));
}

#[test]
fn gemma3_leaves_out_its_defaults() {
    // A configuration may leave out the defaults of Gemma.
    let json = json!({
        "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
        "num_hidden_layers": 34, "sliding_window": 1024, "eos_token_id": [1, 106],
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    });
    let config = ModelConfig::from_json(&json.to_string(), Path::new("config.json")).unwrap();
    assert_eq!((config.heads, config.kv_heads, config.head_dim), (8, 4, 256));
    assert_eq!((config.vocab_size, config.eos_token_ids.as_slice()), (262_208, &[1, 106][..]));
    assert!(config.tied_head);
    assert_eq!(config.windows[5], None);
    assert_eq!(config.local_rope.as_ref().map(|rope| rope.theta), Some(10_000.0));
}

#[test]
fn the_text_model_of_a_model_that_sees() {
    let text = json!({
        "hidden_size": 32, "num_attention_heads": 4, "head_dim": 8, "vocab_size": 64,
        "tie_word_embeddings": true, "eos_token_id": 1,
    });
    let whole = json!({
        "model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 16},
        "tie_word_embeddings": false, "eos_token_id": [1, 106],
    });
    let read = |json: &Value| {
        let read = ModelConfig::from_json(&json.to_string(), Path::new("config.json"));
        read.map_err(|e| e.to_string())
    };
    let config = read(&whole).unwrap();
    assert!(config.multimodal && !config.tied_head);
    assert_eq!((config.hidden_size, config.eos_token_ids.as_slice()), (32, &[1, 106][..]));
    for (field, value, named) in [
        ("text_config", Value::Null, "text_config is missing"),
        ("text_config", json!({"model_type": "llama"}), "text_config"),
        ("text_config", json!({"model_type": "gemma3", "text_config": {}}), "text_config"),
        ("text_config", json!({"final_logit_softcapping": 30.0}), "final_logit_softcapping"),
        ("is_causal", false.into(), "is_causal"),
    ] {
        let mut spoilt = whole.clone();
        spoilt[field] = value;
        let error = read(&spoilt).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
}
