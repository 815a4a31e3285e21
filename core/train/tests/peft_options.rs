//! PEFT's options: each adapter of `tests/parity/adapters` (made by `make_adapters.py`) gives PEFT's logits, and what is
//! not plain LoRA, or not what its configuration says, is refused by name.

#[path = "peft_options/hostile.rs"]
mod hostile;

use std::path::{Path, PathBuf};

use fedshield_train::adapter::{Adapter, ModuleNames, PeftAdapter};
use fedshield_train::federated::{Algorithm, Factor, FederatedSettings};
use fedshield_train::load::{SafetensorsSource, write_safetensors};
use fedshield_train::model::{BasePrecision, Decoder, ModelConfig};
use fedshield_train::{Valid, adapter_logits, cpu};
use serde_json::{Value, json};

fn parity() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

fn config() -> Valid<ModelConfig> {
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

/// Logits of the tiny Llama 3 with an adapter, for the ids of its reference.
fn logits_with(adapter: &dyn Adapter) -> Vec<f32> {
    let base = SafetensorsSource::open_folder(&parity().join("llama3")).unwrap();
    let decoder = Decoder::load(&config(), &base, &cpu(), BasePrecision::F32).unwrap();
    let reference = SafetensorsSource::open_file(&parity().join("llama3/reference.safetensors"));
    let (shape, ids) = reference.unwrap().read_any("ids").unwrap();
    let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    adapter_logits(&decoder, adapter, &ids, shape[1])
}

fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
    ours.iter().zip(theirs).fold(0f32, |m, (x, y)| m.max((x - y).abs())) / largest
}

#[test]
fn a_federation_starts_from_every_option_with_pefts_logits() {
    let settings = Valid::<FederatedSettings>::default();
    let logits = SafetensorsSource::open_file(&parity().join("adapters/logits.safetensors"));
    let logits = logits.unwrap();
    let mut digests = std::collections::BTreeSet::new();
    for name in names() {
        let peft = PeftAdapter::open(&parity().join("adapters").join(&name)).unwrap();
        let global = peft.global(&config(), &settings).unwrap();
        let spec = global.layout().spec();
        assert_eq!(spec, peft.federated_spec(), "{name}");
        assert!(spec.alpha.fract() == 0.0 && spec.alpha >= 1.0, "{name}: alpha {}", spec.alpha);
        let away = difference(&logits_with(&global), &logits.read_any(&name).unwrap().1);
        assert!(away <= 1e-5, "{name}: {away:e}");
        assert!(digests.insert(peft.digest().unwrap()), "{name} has the digest of another");
        // The same files give the same adapter at every member.
        assert_eq!(peft.global(&config(), &settings).unwrap(), global, "{name}");
    }
    let spec = |name: &str| {
        let peft = PeftAdapter::open(&parity().join("adapters").join(name)).unwrap();
        (peft.federated_spec(), peft.spec().ok())
    };
    // Alike in every layer and whole: the federation has the adapter's own.
    for name in ["default_keys", "all_linear", "excluded_regex", "orthogonal", "rslora"] {
        let (shared, own) = spec(name);
        assert_eq!(Some(shared), own, "{name}");
    }
    let filled_up = |name: &str| {
        PeftAdapter::open(&parity().join("adapters").join(name)).unwrap().is_filled_up()
    };
    assert!(!filled_up("default_keys") && !filled_up("rslora"));
    // The file of the second does not show that the model has a second layer.
    for name in ["rank_pattern", "layers_pattern", "fractional_alpha", "one_layer"] {
        assert!(filled_up(name), "{name}");
    }
    // alpha / sqrt(4) is 2 alpha / 4.
    assert_eq!((spec("rslora").0.rank, spec("rslora").0.alpha), (4, 12.0));
    assert_eq!((spec("rank_pattern").0.rank, spec("fractional_alpha").0.alpha), (5, 3.0));
    assert_eq!(spec("one_layer").0.target_modules.len(), 2);
    let error = PeftAdapter::open(&parity().join("adapters/rank_pattern")).unwrap().spec();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("one rank, one alpha") && error.contains("_proj"), "{error}");
}

#[test]
fn what_is_filled_up_begins_as_a_new_adapter_does() {
    let settings = Valid::<FederatedSettings>::default();
    let open = |name: &str| PeftAdapter::open(&parity().join("adapters").join(name)).unwrap();
    let global = open("one_layer").global(&config(), &settings).unwrap();
    let layout = global.layout();
    for ((module, a), (_, b)) in layout.ranges(Factor::A).zip(layout.ranges(Factor::B)) {
        let (a, b) = (&global.values(Factor::A)[a], &global.values(Factor::B)[b]);
        let bound = (module.inputs as f32).sqrt().recip();
        if module.layer == 0 {
            assert!(b.iter().all(|value| *value == 0.0));
            assert!(a.iter().all(|value| value.abs() <= bound));
        }
        assert!(a.iter().any(|value| *value != 0.0));
    }
    let settings = settings.with(|it| it.algorithm = Algorithm::FedSb).unwrap();
    let error = open("one_layer").global(&config(), &settings).unwrap_err().to_string();
    assert!(error.contains("layers.0") && error.contains("fed-sb"), "{error}");
    open("rank_pattern").global(&config(), &settings).unwrap();
}

/// A copy of an adapter whose tensors have other names.
fn renamed(name: &str, rename: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let from = parity().join("adapters").join(name);
    let config = "adapter_config.json";
    std::fs::copy(from.join(config), folder.path().join(config)).unwrap();
    let weights = "adapter_model.safetensors";
    let source = SafetensorsSource::open_file(&from.join(weights)).unwrap();
    let tensors = source.names().map(|name| (rename(name), source.read_any(name).unwrap()));
    write_safetensors(&folder.path().join(weights), &tensors.collect()).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn names_of_multimodal_checkpoints_are_the_same_adapter() {
    let plain = PeftAdapter::open(&parity().join("adapters/rank_pattern")).unwrap();
    let lora = plain.lora(&config()).unwrap();
    for inside in ["model.language_model.layers", "language_model.model.layers"] {
        let (folder, path) = renamed("rank_pattern", |name| name.replace("model.layers", inside));
        let peft = PeftAdapter::open(&path).unwrap();
        assert_eq!(peft.lora(&config()).unwrap(), lora, "{inside}");
        assert_eq!(peft.digest().unwrap(), plain.digest().unwrap());
        // A part that text does not pass through has no effect as long as its B is zero.
        let weights = path.join("adapter_model.safetensors");
        let source = SafetensorsSource::open_file(&weights).unwrap();
        let read = |name: &str| (name.to_owned(), source.read_any(name).unwrap());
        let mut tensors: std::collections::BTreeMap<_, _> = source.names().map(read).collect();
        let vision = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj";
        tensors.insert(format!("{vision}.lora_A.weight"), (vec![2, 4], vec![0.5; 8]));
        tensors.insert(format!("{vision}.lora_B.weight"), (vec![4, 2], vec![0.0; 8]));
        let (seen, trained) = (folder.path().join("seen"), folder.path().join("trained"));
        for (to, value) in [(&seen, 0.0), (&trained, 0.5)] {
            std::fs::create_dir(to).unwrap();
            std::fs::copy(path.join("adapter_config.json"), to.join("adapter_config.json"))
                .unwrap();
            tensors.insert(format!("{vision}.lora_B.weight"), (vec![4, 2], vec![value; 8]));
            write_safetensors(&to.join("adapter_model.safetensors"), &tensors).unwrap();
        }
        assert_eq!(PeftAdapter::open(&seen).unwrap().lora(&config()).unwrap(), lora);
        let error = PeftAdapter::open(&trained).err().unwrap().to_string();
        assert!(error.contains("vision_tower") && error.contains("exclude_modules"), "{error}");
    }
    // An adapter is for one checkpoint.
    let other = "layers.1.self_attn.q_proj";
    let (_folder, path) = renamed("rank_pattern", |name| {
        let inside =
            if name.contains(other) { "model.language_model.layers" } else { "model.layers" };
        name.replace("model.layers", inside)
    });
    let error = PeftAdapter::open(&path).err().unwrap().to_string();
    assert!(error.contains("another checkpoint"), "{error}");
}

#[test]
fn what_is_exported_under_other_names_is_the_same_adapter() {
    for name in ["default_keys", "rank_pattern", "alpha_pattern", "layers_pattern", "full_names"] {
        let plain = PeftAdapter::open(&parity().join("adapters").join(name)).unwrap();
        for names in [ModuleNames::Text, ModuleNames::Multimodal] {
            let out = tempfile::tempdir().unwrap();
            plain.export_as(out.path(), names).unwrap();
            let back = PeftAdapter::open(out.path()).unwrap();
            assert_eq!(back.lora(&config()).unwrap(), plain.lora(&config()).unwrap(), "{name}");
            assert_eq!(back.digest().unwrap(), plain.digest().unwrap(), "{name}");
            let text = std::fs::read_to_string(out.path().join("adapter_config.json")).unwrap();
            let inside = text.contains("vision_tower") || text.contains("language_model");
            assert_eq!(inside, names == ModuleNames::Multimodal, "{name}: {text}");
        }
    }
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
        ("peft_type", json!("VERA"), "only LORA"),
        ("peft_type", json!("PREFIX_TUNING"), "only LORA"),
        ("peft_type", json!(7), "peft_type is 7"),
        ("bias", json!("lora_only"), "biases"),
        ("init_lora_weights", json!("pissa_niter_4"), "path_initial_model"),
        ("init_lora_weights", json!(7), "init_lora_weights"),
        ("target_parameters", json!(["mlp.experts.gate_up_proj"]), "parameters"),
        ("modules_to_save", json!(["embed_tokens", "lm_head"]), "merge_and_unload"),
        ("lora_alpha", json!(0), "positive"),
        ("lora_alpha", json!(-16), "lora_alpha is -16"),
        ("lora_alpha", json!("16"), "lora_alpha is \"16\""),
        ("r", json!(0), "r is 0"),
        ("r", json!(-8), "r is -8"),
        ("r", json!(8.5), "r is 8.5"),
        ("r", json!("8"), "r is \"8\""),
        ("r", json!(100_000), "gives it rank 100000"),
        ("use_rslora", json!("yes"), "use_rslora is \"yes\""),
        ("target_modules", json!({"q_proj": 1}), "target_modules is"),
        ("target_modules", json!([1, 2]), "target_modules is [1,2]"),
        ("layers_to_transform", json!(-1), "layers_to_transform is -1"),
        ("layers_to_transform", json!("1"), "layers_to_transform is \"1\""),
        ("exclude_modules", json!("("), "exclude_modules"),
        ("rank_pattern", json!({"q_proj": 0}), "rank_pattern \"q_proj\" is 0"),
        ("rank_pattern", json!({"q_proj": "8"}), "rank_pattern or alpha_pattern"),
        ("rank_pattern", json!([["q_proj", 8]]), "rank_pattern or alpha_pattern"),
        ("rank_pattern", json!({"(": 8}), "rank_pattern"),
        ("alpha_pattern", json!({"q_proj": null}), "rank_pattern or alpha_pattern"),
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
