//! PEFT's options: each adapter of `tests/parity/adapters` (made by `make_adapters.py`) gives PEFT's logits, and what is
//! not plain LoRA, or not what its configuration says, is refused by name.

use std::path::{Path, PathBuf};

use fedshield_train::adapter::{PeftAdapter, import_peft};
use fedshield_train::federated::FederatedSettings;
use fedshield_train::load::{SafetensorsSource, write_safetensors};
use fedshield_train::model::{BasePrecision, Decoder, ModelConfig};
use fedshield_train::{adapter_logits, cpu};
use serde_json::{Value, json};

fn parity() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

fn config() -> ModelConfig {
    let path = parity().join("llama3/config.json");
    ModelConfig::from_json(&std::fs::read_to_string(&path).unwrap(), &path).unwrap()
}

fn names() -> Vec<String> {
    let folders = std::fs::read_dir(parity().join("adapters")).unwrap().flatten();
    let folders = folders.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_option_gives_pefts_logits() {
    let config = config();
    let base = SafetensorsSource::open_folder(&parity().join("llama3")).unwrap();
    let decoder = Decoder::load(&config, &base, &cpu(), BasePrecision::F32).unwrap();
    let open = |name: &str| SafetensorsSource::open_file(&parity().join(name)).unwrap();
    let (shape, ids) = open("llama3/reference.safetensors").read_any("ids").unwrap();
    let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    let logits = open("adapters/logits.safetensors");
    let without = logits.read_any("base").unwrap().1;
    let names = names();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        let adapter = PeftAdapter::open(&parity().join("adapters").join(&name))
            .and_then(|peft| peft.lora(&config))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let ours = adapter_logits(&decoder, &adapter, &ids, shape[1]);
        let theirs = logits.read_any(&name).unwrap().1;
        let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
        let away = |from: &[f32]| {
            from.iter().zip(&theirs).fold(0f32, |m, (x, y)| m.max((x - y).abs())) / largest
        };
        assert!(away(&ours) <= 1e-5, "{name}: {:e}", away(&ours));
        assert!(away(&without) > 1e-2, "{name} should change the logits");
    }
}

#[test]
fn a_federation_takes_one_rank_and_alpha_in_every_layer_and_refuses_the_rest_by_name() {
    let (config, settings) = (config(), FederatedSettings::default());
    let import =
        |name: &str| import_peft(&parity().join("adapters").join(name), &config, &settings);
    for name in ["rank_pattern", "alpha_pattern", "rslora_patterns"] {
        let error = import(name).unwrap_err().to_string();
        assert!(error.contains("one rank, one alpha") && error.contains("_proj"), "{error}");
    }
    for name in ["one_layer", "layers_pattern", "excluded", "full_names"] {
        let error = import(name).unwrap_err().to_string();
        assert!(error.contains("same projections in every layer"), "{name}: {error}");
    }
    // alpha / sqrt(4) is 2 alpha / 4.
    let layout = import("rslora").unwrap();
    assert_eq!((layout.layout().rank(), layout.layout().alpha()), (4, 12.0));
    let plain = import("default_keys").unwrap();
    assert_eq!(plain.layout().spec().target_modules.len(), 2);
    assert_eq!(import("fractional_alpha").unwrap().layout().alpha(), 2.5);
}

/// A copy of an adapter whose configuration has other values.
fn with(fields: &[(&str, Value)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let from = parity().join("adapters/default_keys");
    let text = std::fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (name, value) in fields {
        config[*name] = value.clone();
    }
    std::fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    let weights = "adapter_model.safetensors";
    std::fs::copy(from.join(weights), folder.path().join(weights)).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn what_is_no_plain_lora_is_refused_by_its_field() {
    let cases = [
        ("peft_type", json!("LOHA"), "only LORA"),
        ("use_dora", json!(true), "DoRA"),
        ("bias", json!("all"), "biases"),
        ("lora_bias", json!(true), "bias"),
        ("modules_to_save", json!(["lm_head"]), "merge_and_unload"),
        ("trainable_token_indices", json!({"embed_tokens": [1]}), "embedding"),
        ("init_lora_weights", json!("pissa"), "path_initial_model"),
        ("init_lora_weights", json!("olora"), "path_initial_model"),
        ("init_lora_weights", json!("corda"), "path_initial_model"),
        ("init_lora_weights", json!("lora_ga"), "path_initial_model"),
        ("init_lora_weights", json!("mica"), "init_lora_weights"),
        ("init_lora_weights", json!("eva"), "EVA"),
        ("init_lora_weights", json!("loftq"), "init_lora_weights"),
        ("eva_config", json!({"rho": 2.0}), "EVA"),
        ("corda_config", json!({"x": 1}), "CorDA"),
        ("loftq_config", json!({"loftq_bits": 4}), "LoftQ"),
        ("kasa_config", json!({"x": 1}), "KaSA"),
        ("velora_config", json!({"x": 1}), "VeLoRA"),
        ("monteclora_config", json!({"x": 1}), "MonteCLoRA"),
        ("arrow_config", json!({"top_k": 3}), "Arrow"),
        ("megatron_config", json!({"x": 1}), "Megatron"),
        ("use_bdlora", json!({"nblocks": 2}), "BD-LoRA"),
        ("use_qalora", json!(true), "QA-LoRA"),
        ("alora_invocation_tokens", json!([5]), "aLoRA"),
        ("layer_replication", json!([[0, 2]]), "layers"),
        ("target_parameters", json!(["x"]), "parameters"),
        ("task_type", json!("SEQ_CLS"), "CAUSAL_LM"),
        ("some_new_config", json!({"x": 1}), "unknown"),
        ("scale_by_two", json!(true), "unknown"),
        ("lora_alpha", json!(0), "positive"),
        ("target_modules", json!(null), "target_modules is missing"),
        ("target_modules", json!(["q_proj"]), "does not mean this module"),
        ("target_modules", json!(["q_proj", "v_proj", "k_proj"]), "k_proj.lora_A.weight: missing"),
        ("target_modules", json!(["q_proj", "v_proj", "lm_head"]), "lm_head"),
        ("target_modules", json!(".*"), "target_modules"),
        ("target_modules", json!("("), "cannot be read"),
        ("exclude_modules", json!(["v_proj"]), "does not mean this module"),
        ("layers_to_transform", json!([0]), "does not mean this module"),
        ("layers_pattern", json!("layers"), "needs layers_to_transform"),
        ("rank_pattern", json!({"q_proj": 3}), "gives it rank 3"),
        ("r", json!(3), "gives it rank 3"),
        ("alpha_pattern", json!({"q_proj": -1}), "alpha_pattern"),
    ];
    for (name, value, word) in cases {
        let (_folder, path) = with(&[(name, value.clone())]);
        let opened = PeftAdapter::open(&path).and_then(|peft| peft.lora(&config()));
        let error = opened.err().unwrap_or_else(|| panic!("{name} {value} should be refused"));
        let error = error.to_string();
        assert!(error.contains(word), "{name} {value}: {error}");
    }
}

#[test]
fn a_pickle_and_stray_tensors_are_refused_with_what_to_do() {
    let (_folder, path) = with(&[]);
    let weights = path.join("adapter_model.safetensors");
    let source = SafetensorsSource::open_file(&weights).unwrap();
    let read = |name: &str| (name.to_owned(), source.read_any(name).unwrap());
    let tensors: std::collections::BTreeMap<_, _> = source.names().map(read).collect();
    let first = tensors.keys().next().unwrap().clone();
    let cases = [
        ("base_model.model.lm_head.lora_A.weight".to_owned(), "output head"),
        ("base_model.model.model.embed_tokens.lora_embedding_A".to_owned(), "embedding"),
        (first.replace("lora_A.default.weight", "lora_magnitude_vector"), "DoRA"),
        (first.replace("layers.0", "layers.7"), "other factor is stored"),
        (first.replace(".default", ""), "twice"),
        (first.replace("q_proj", "w_proj"), "does not have"),
    ];
    for (name, word) in cases {
        let mut more = tensors.clone();
        more.insert(name, (vec![2, 32], vec![0.5; 64]));
        write_safetensors(&weights, &more).unwrap();
        let error = PeftAdapter::open(&path).err().unwrap().to_string();
        assert!(error.contains(word), "{error} should contain {word}");
    }
    std::fs::rename(&weights, path.join("adapter_model.bin")).unwrap();
    let error = PeftAdapter::open(&path).err().unwrap().to_string();
    assert!(error.contains("adapter_model.bin") && error.contains("save_pretrained"), "{error}");
}
