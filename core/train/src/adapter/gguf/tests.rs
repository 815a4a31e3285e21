//! Round trips: a written GGUF file has the expected names and values, and is read as the same
//! model.

mod tokenizers;

use std::path::{Path, PathBuf};

use super::*;
use crate::adapter::{LoraAdapter, PeftAdapter};
use crate::load::GgufFile;
use crate::model::{BasePrecision, ModelConfig};
use crate::{adapter_logits, cpu};

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

/// A tiny model of a family with a byte-level tokenizer of 64 tokens, and an adapter. Settings that
/// llama.cpp does not have are replaced if `usual`.
fn open(family: &str, work: &Path, adapter: &Path, usual: bool) -> (LoadedModel, LoraAdapter) {
    let folder = work.join(family);
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(parity(family)).unwrap().flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    if usual {
        make_usual(family, &folder.join("config.json"));
    }
    write_tokenizer(&folder);
    let model = LoadedModel::open(&folder).unwrap();
    let adapter = PeftAdapter::open(adapter).and_then(|peft| peft.lora(&model.config)).unwrap();
    (model, adapter)
}

fn make_usual(family: &str, path: &Path) {
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    match family {
        "smollm3" => {
            config["no_rope_layers"] = serde_json::json!([1, 1]);
            config["layer_types"] = serde_json::json!(["full_attention", "full_attention"]);
            config["use_sliding_window"] = false.into();
        }
        "phi3" | "mistral" => config["sliding_window"] = serde_json::Value::Null,
        "olmo3" => {
            let rope = serde_json::json!({"rope_type": "default", "rope_theta": 300.0});
            config["rope_parameters"] =
                serde_json::json!({"full_attention": rope, "sliding_attention": rope});
            config["layer_types"] = serde_json::json!(["sliding_attention", "sliding_attention"]);
        }
        "gemma3" => config["query_pre_attn_scalar"] = 16.into(),
        _ => {}
    }
    std::fs::write(path, config.to_string()).unwrap();
}

fn write_tokenizer(folder: &Path) {
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [
            {"id": 2, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false,
             "normalized": false, "special": true},
            {"id": 61, "content": "<user>", "single_word": false, "lstrip": false, "rstrip": false,
             "normalized": false, "special": false}],
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false,
            "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
            "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false,
            "vocab": {"<|end|>": 2, "<user>": 61, "\u{120}": 3, "a": 4, "b": 5, "c": 6, "ab": 7, "\u{120}a": 8, "1": 9, "2": 10},
            "merges": [["a", "b"], ["\u{120}", "a"]]},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    // transformers' class for Qwen 2 would name tokens that are missing from this small vocabulary.
    let end = "<|end|>";
    let class = "PreTrainedTokenizerFast";
    let named = serde_json::json!({
        "eos_token": end, "pad_token": end, "unk_token": end, "tokenizer_class": class,
    });
    std::fs::write(folder.join("tokenizer_config.json"), named.to_string()).unwrap();
}

/// Families whose tiny models llama.cpp computes alike, some after [`make_usual`].
const FAMILIES: [&str; 15] = [
    "llama",
    "llama3",
    "llama_linear",
    "mistral",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "granite",
    "olmo2",
    "olmo3",
    "seed_oss",
    "phi3",
    "phi4",
    "gemma3",
];

fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
    ours.iter().zip(theirs).fold(0f32, |m, (x, y)| m.max((x - y).abs())) / largest
}

#[test]
fn a_merged_file_is_base_and_adapter_with_the_same_tokens() {
    let work = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let (model, adapter) = open(family, work.path(), &parity(family).join("adapter"), true);
        let ids: Vec<u32> = (0..24).map(|i| (i * 7 + 3) % 64).collect();
        let decoder = model.decoder(&cpu(), BasePrecision::F32).unwrap();
        let beside = adapter_logits(&decoder, &adapter, &ids, 24);
        let nothing = LoraAdapter { projections: Vec::new() };
        for (kind, bound) in [(GgufType::F32, 1e-5), (GgufType::F16, 5e-3), (GgufType::Q8_0, 0.1)] {
            let path = work.path().join(format!("{family}-{}.gguf", kind.name()));
            export_gguf_model(&path, &model, Some(&adapter), kind).unwrap();
            let back = LoadedModel::open(&path).unwrap();
            let merged = back.decoder(&cpu(), BasePrecision::F32).unwrap();
            let inside = adapter_logits(&merged, &nothing, &ids, 24);
            let away = difference(&inside, &beside);
            assert!(away <= bound, "{family} {}: {away:e}", kind.name());
            assert_eq!(back.config.tied_head, model.config.tied_head, "{family}");
            assert_eq!(back.config.windows, model.config.windows, "{family}");
            assert_eq!(back.config.rope_layers, model.config.rope_layers, "{family}");
            for text in ["ab a<user>12<|end|> cab", "b b"] {
                let encode = |model: &LoadedModel| model.tokenizer.encode(text).unwrap();
                assert_eq!(encode(&back), encode(&model), "{family} {text}");
            }
            assert_eq!(back.tokenizer.eos, model.tokenizer.eos);
        }
    }
}

#[test]
fn an_adapter_file_adds_what_the_merged_file_has_more() {
    let work = tempfile::tempdir().unwrap();
    for (family, adapter) in [
        ("llama3", "adapters/rslora_patterns"),
        ("llama3", "adapters/alpha_pattern"),
        ("llama3", "adapters/rank_pattern"),
        ("qwen2", "qwen2/adapter"),
        ("llama_linear", "llama_linear/adapter"),
        ("smollm3", "smollm3/adapter"),
        ("granite", "granite/adapter"),
        ("olmo2", "olmo2/adapter"),
        ("olmo3", "olmo3/adapter"),
        ("seed_oss", "seed_oss/adapter"),
        ("qwen3_moe", "qwen3_moe/adapter"),
        ("phi4", "phi4/adapter"),
        ("gemma3", "gemma3/adapter"),
    ] {
        let (model, adapter) = open(family, work.path(), &parity(adapter), true);
        let path = |name: &str| work.path().join(name);
        export_gguf_model(&path("base.gguf"), &model, None, GgufType::F32).unwrap();
        export_gguf_model(&path("merged.gguf"), &model, Some(&adapter), GgufType::F32).unwrap();
        export_gguf_adapter(&path("lora.gguf"), &model.config, &adapter).unwrap();
        let [base, merged, lora] = ["base.gguf", "merged.gguf", "lora.gguf"]
            .map(|name| GgufFile::open(&path(name)).unwrap());
        assert_eq!(lora.get("general.type").unwrap().as_str(), Some("adapter"));
        assert_eq!(lora.get("adapter.type").unwrap().as_str(), Some("lora"));
        let alpha = lora.get("adapter.lora.alpha").unwrap().as_f64().unwrap() as f32;
        assert_eq!(lora.tensors.len(), 2 * adapter.projections.len());
        for (name, _) in base.tensors.iter().filter(|(name, _)| name.starts_with("blk.")) {
            let (_, mut expected) = base.values(name).unwrap();
            let (_, found) = merged.values(name).unwrap();
            if lora.tensors.contains_key(&format!("{name}.lora_a")) {
                let (a_shape, a) = lora.values(&format!("{name}.lora_a")).unwrap();
                let (b_shape, b) = lora.values(&format!("{name}.lora_b")).unwrap();
                let ([rank, inputs], [outputs, same]) = (a_shape, b_shape) else { panic!() };
                assert_eq!(rank, same);
                // As llama.cpp computes the scale: alpha over the rank of this tensor.
                for row in 0..*outputs {
                    for (column, value) in
                        expected[row * inputs..][..*inputs].iter_mut().enumerate()
                    {
                        let sum: f32 =
                            (0..*rank).map(|k| b[row * rank + k] * a[k * inputs + column]).sum();
                        *value += alpha / *rank as f32 * sum;
                    }
                }
            }
            assert!(difference(&found, &expected) <= 1e-5, "{family} {name}");
        }
        for name in ["base.gguf", "merged.gguf", "lora.gguf"] {
            std::fs::remove_file(path(name)).unwrap();
        }
    }
}

/// From a GGUF base: what llama.cpp's converter wrote is written again.
#[test]
fn a_gguf_base_is_written_as_it_was() {
    let work = tempfile::tempdir().unwrap();
    let shard = "granite-00001-of-00003";
    let families = [
        "llama", "qwen3", "qwen3moe", "smollm3", shard, "olmo2", "olmo3", "seed_oss", "phi3",
        "gemma3",
    ];
    for name in families {
        let base = parity("gguf").join(format!("{name}.gguf"));
        let model = LoadedModel::open(&base).unwrap();
        let path = work.path().join(format!("{name}-again.gguf"));
        assert!(export_gguf_model(&path, &model, None, GgufType::F16).unwrap().is_empty());
        let again = LoadedModel::open(&path).unwrap();
        let same = again.config.with(|it| it.bos_token_id = model.config.bos_token_id).unwrap();
        assert_eq!(same, model.config, "{name}");
        let [first, second] = [&base, &path].map(|path| GgufFile::open(path).unwrap());
        assert_eq!(first.get("general.name").is_some(), second.get("general.name").is_some());
        for (name, tensor) in first.tensors.iter().filter(|(name, _)| name.starts_with("blk.")) {
            let experts = name.ends_with("_exps.weight").then(|| tensor.shape[0]);
            let values = |file: &GgufFile| -> Vec<Vec<f32>> {
                let Some(experts) = experts else {
                    return vec![file.values(name).unwrap().1];
                };
                (0..experts).map(|one| file.matrix_of(name, one).unwrap().1).collect()
            };
            assert_eq!(tensor.shape, second.tensors[name].shape, "{name}");
            assert_eq!(values(&first), values(&second), "{name}");
        }
    }
}

/// OLMo has a head of its own in llama.cpp.
#[test]
fn a_tied_head_of_olmo_is_written_out() {
    let work = tempfile::tempdir().unwrap();
    for family in ["olmo2", "olmo3"] {
        let adapter = parity(family).join("adapter");
        let (model, adapter) = open(family, work.path(), &adapter, true);
        let config = model.config.with(|config| config.tied_head = true).unwrap();
        let tied = LoadedModel { config, ..model };
        let path = work.path().join("tied.gguf");
        export_gguf_model(&path, &tied, Some(&adapter), GgufType::F32).unwrap();
        let file = GgufFile::open(&path).unwrap();
        let [head, embedding] = ["output.weight", "token_embd.weight"];
        assert_eq!(file.values(head).unwrap(), file.values(embedding).unwrap());
    }
}

/// The router chooses, so it is never rounded; experts are, each matrix by its own width.
#[test]
fn experts_are_stacked_and_their_router_is_exact() {
    let work = tempfile::tempdir().unwrap();
    let adapter = parity("qwen3_moe/adapter");
    let (model, _) = open("qwen3_moe", work.path(), &adapter, true);
    let path = work.path().join("experts.gguf");
    export_gguf_model(&path, &model, None, GgufType::Q8_0).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let (_, router) = file.values("blk.1.ffn_gate_inp.weight").unwrap();
    let stored = model.weights.read("model.layers.1.mlp.gate.weight", &[6, 32]).unwrap();
    assert_eq!(&router[..], &stored[..]);
    let shape = |name: &str| file.tensors[name].shape.clone();
    assert_eq!(shape("blk.0.ffn_up_exps.weight"), [6, 24, 32]);
    assert_eq!(shape("blk.0.ffn_down_exps.weight"), [6, 32, 24]);
}

#[test]
fn what_gguf_cannot_say_is_refused_by_name() {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("out.gguf");
    let refused = |model: &LoadedModel| {
        let error = export_gguf_model(&out, model, None, GgufType::F16).unwrap_err().to_string();
        assert!(!out.exists());
        error
    };
    for (family, word) in [
        ("mistral", "window of 4 tokens"),
        ("phi3", "window of 5 tokens"),
        ("smollm3", "layers without rotary embedding"),
        ("gemma3", "attention scores"),
        ("olmo3", "attention windows"),
        ("qwen3_moe_step", "biases"),
        ("qwen2_yarn", "YaRN"),
        ("llama_dynamic", "dynamic scaling"),
    ] {
        let adapter = parity(family).join("adapter");
        let (odd, lora) = open(family, work.path(), &adapter, false);
        let error = refused(&odd);
        assert!(error.contains(word) && error.contains("safetensors"), "{family}: {error}");
        // An adapter alone does not say how the base attends.
        export_gguf_adapter(&out, &odd.config, &lora).unwrap();
        std::fs::remove_file(&out).unwrap();
    }
    let with = |model: &mut LoadedModel, change: fn(&mut ModelConfig)| {
        model.config = model.config.with(change).unwrap();
    };
    let (mut model, _) = open("olmo3", work.path(), &parity("olmo3/adapter"), true);
    with(&mut model, |it| it.local_rope.as_mut().unwrap().theta = 400.0);
    assert!(refused(&model).contains("another rotary base"), "{}", refused(&model));
    let (mut model, _) = open("qwen3_moe", work.path(), &parity("qwen3_moe/adapter"), true);
    with(&mut model, |it| it.experts.as_mut().unwrap().normalised = false);
    assert!(refused(&model).contains("sum of 1"), "{}", refused(&model));
    with(&mut model, |it| it.experts.as_mut().unwrap().layers[1] = false);
    assert!(refused(&model).contains("dense layer"), "{}", refused(&model));
    with(&mut model, |it| it.experts = None);
    assert!(refused(&model).contains("without experts"), "{}", refused(&model));
    let (mut model, _) = open("seed_oss", work.path(), &parity("seed_oss/adapter"), true);
    with(&mut model, |it| it.output_bias = true);
    assert!(refused(&model).contains("biases"), "{}", refused(&model));
    let (mut model, _) = open("llama", work.path(), &parity("llama/adapter"), true);
    with(&mut model, |it| it.activation = crate::model::Activation::GeluTanh);
    assert!(refused(&model).contains("gelu_pytorch_tanh"), "{}", refused(&model));
    with(&mut model, |it| it.activation = crate::model::Activation::Silu);
    with(&mut model, |it| it.vocab_size = 32);
    assert!(refused(&model).contains("beyond the embedding"), "{}", refused(&model));
    let folder = work.path().join("llama");
    let path = folder.join("tokenizer.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, word) in [
        (
            r#""individual_digits":true"#,
            r#""individual_digits":false"#,
            "no name for this tokenizer",
        ),
        (r#""normalizer":null"#, r#""normalizer":{"type":"NFKC"}"#, "NFKC"),
        (r#""byte_fallback":false"#, r#""byte_fallback":true"#, "sets `byte_fallback`"),
        (r#""dropout":null"#, r#""dropout":0.5"#, "sets `dropout`"),
        (
            r#""end_of_word_suffix":null"#,
            r#""end_of_word_suffix":"</w>""#,
            "sets `end_of_word_suffix`",
        ),
        (r#""lstrip":false"#, r#""lstrip":true"#, "lstrip"),
        (r#""single_word":false"#, r#""single_word":true"#, "single_word"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let model = LoadedModel::open(&folder).unwrap();
        assert!(refused(&model).contains(word), "{word}: {}", refused(&model));
    }
}
