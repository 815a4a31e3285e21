//! GGUF files against transformers, llama.cpp and SentencePiece. Made by
//! `tests/parity/make_gguf.py` (a SentencePiece tokenizer and Llama 3's rotary table) and
//! `make_gguf_families.py` (one file for each other family, one of them in shards).

use std::path::{Path, PathBuf};

use fedshield_train::federated::{AdapterLayout, AdapterSpec, FederatedSettings, GlobalAdapter};
use fedshield_train::load::{LoadedModel, SafetensorsSource, open_tokenizer};
use fedshield_train::model::{BasePrecision, Projection, RopeScaling};
use fedshield_train::{Valid, adapter_logits, cpu};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/gguf")
}

fn model() -> LoadedModel {
    LoadedModel::open(&folder().join("llama.gguf")).unwrap()
}

#[test]
fn logits_are_those_of_transformers() {
    let model = model();
    let scaling = RopeScaling::Llama3 {
        factor: 4.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position: 16,
    };
    assert_eq!(model.config.rope_scaling, Some(scaling));
    assert_logits(&model, "reference");
}

#[track_caller]
fn assert_logits(model: &LoadedModel, name: &str) {
    let decoder = model.decoder(&cpu(), BasePrecision::F32).unwrap();
    let settings = Valid::<FederatedSettings>::default();
    let o_proj = AdapterSpec { target_modules: vec![Projection::OProj], ..AdapterSpec::default() };
    let layout = AdapterLayout::new(&model.config, &o_proj).unwrap();
    let adapter = GlobalAdapter::new(layout, &settings, [0; 32]);
    let path = folder().join(format!("{name}.safetensors"));
    let reference = SafetensorsSource::open_file(&path).unwrap();
    let (shape, ids) = reference.read_any("ids").unwrap();
    let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    let ours = adapter_logits(&decoder, &adapter, &ids, shape[1]);
    let theirs = reference.read_any("logits").unwrap().1;
    let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
    let difference = ours.iter().zip(&theirs).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference <= 1e-5 * largest, "{name}: {difference:e} of {largest:e}");
}

#[test]
fn every_family_gives_the_logits_of_transformers() {
    let families = ["qwen3", "qwen3moe", "smollm3", "olmo2", "olmo3", "seed_oss", "phi3", "gemma3"];
    for name in families {
        let model = LoadedModel::open(&folder().join(format!("{name}.gguf"))).unwrap();
        assert_eq!(model.warnings, Vec::<String>::new());
        assert_logits(&model, name);
    }
}

#[test]
fn shards_are_one_model() {
    let shard = |n: usize| folder().join(format!("granite-0000{n}-of-00003.gguf"));
    assert_logits(&LoadedModel::open(&shard(1)).unwrap(), "granite");
    let error = LoadedModel::open(&shard(2)).err().unwrap().to_string();
    assert!(error.contains("shard 2 of 3") && error.contains("-00001-of-00003.gguf"), "{error}");
}

/// The three shards in a folder of their own, one of them replaced, renamed or removed.
fn spoilt(spoil: impl FnOnce(&Path)) -> String {
    let to = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        let name = format!("granite-0000{n}-of-00003.gguf");
        std::fs::copy(folder().join(&name), to.path().join(&name)).unwrap();
    }
    spoil(to.path());
    let opened = LoadedModel::open(&to.path().join("granite-00001-of-00003.gguf"));
    opened.err().unwrap().to_string()
}

fn change(path: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn spoilt_shards_are_named() {
    let name = |n: usize| format!("granite-0000{n}-of-00003.gguf");
    let error = spoilt(|f| std::fs::remove_file(f.join(name(3))).unwrap());
    assert!(error.contains(&name(3)) && error.contains("missing"), "{error}");
    // The second file again in the place of the third.
    let error = spoilt(|f| assert!(std::fs::copy(f.join(name(2)), f.join(name(3))).is_ok()));
    assert!(error.contains(&name(3)) && error.contains("split.no is 1, expected 2"), "{error}");
    // A key is its text, then the type u16 (2), then the value.
    let count = |n: u8| [b"split.count".as_slice(), &[2, 0, 0, 0, n, 0]].concat();
    let error = spoilt(|f| change(&f.join(name(2)), &count(3), &count(4)));
    assert!(error.contains("split.count is 4, expected 3"), "{error}");
    let error = spoilt(|f| change(&f.join(name(1)), &count(3), &count(2)));
    assert!(error.contains("its name must end in -00001-of-00002.gguf"), "{error}");
    let error = spoilt(|f| change(&f.join(name(3)), b"blk.1.ffn_down", b"blk.0.ffn_down"));
    assert!(error.contains("blk.0.ffn_down.weight"), "{error}");
    let error = spoilt(|f| change(&f.join(name(3)), b"blk.1.ffn_down", b"blk.1.ffn_dawn"));
    assert!(error.contains("blk.1.ffn_dawn.weight") && error.contains("no place"), "{error}");
    let error = spoilt(|f| {
        let bytes = std::fs::read(f.join(name(2))).unwrap();
        std::fs::write(f.join(name(2)), &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(error.contains(&name(2)) && error.contains("beyond the end"), "{error}");
}

/// A model of another name or encoding than the file says.
fn renamed(from: &[u8], to: &[u8]) -> Result<LoadedModel, String> {
    changed("qwen3", from, to)
}

fn changed(model: &str, from: &[u8], to: &[u8]) -> Result<LoadedModel, String> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.gguf");
    std::fs::copy(folder().join(format!("{model}.gguf")), &path).unwrap();
    change(&path, from, to);
    LoadedModel::open(&path).map_err(|e| e.to_string())
}

/// llama.cpp takes every fourth layer whatever a list says, rotates all layers at one base, and
/// ignores what a file says of YaRN's ramp: a file that says otherwise is no third thing.
#[test]
fn what_llama_cpp_ignores_in_olmo3_is_refused() {
    let model = LoadedModel::open(&folder().join("olmo3.gguf")).unwrap();
    assert_eq!(model.config.windows, [Some(4), Some(4), Some(4), None]);
    // A key, its type, and for the list that of its elements and their number.
    let list = b"attention.sliding_window_pattern\x09\0\0\0\x07\0\0\0\x04\0\0\0\0\0\0\0";
    let layers = |flags: [u8; 4]| [list.as_slice(), &flags].concat();
    let error = changed("olmo3", &layers([1, 1, 1, 0]), &layers([1, 0, 1, 0])).err().unwrap();
    assert!(error.contains("sliding_window_pattern") && error.contains("ignores"), "{error}");
    let number =
        |name: &str, value: f32| [name.as_bytes(), &[6, 0, 0, 0], &value.to_le_bytes()].concat();
    for (name, value, other) in [
        ("rope.freq_base_swa", 300.0, 500.0),
        ("rope.scaling.yarn_attn_factor", 1.0 + 0.1 * 4f32.ln(), 1.0),
        ("rope.scaling.yarn_beta_fast", 32.0, 16.0),
        ("rope.scaling.yarn_beta_slow", 1.0, 2.0),
    ] {
        let error = changed("olmo3", &number(name, value), &number(name, other)).err().unwrap();
        assert!(error.contains(name.rsplit('.').next().unwrap()), "{name}: {error}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name_and_a_missing_pre_is_a_warning() {
    let error = renamed(b"qwen3.block_count", b"qwen3.block_kount").err().unwrap();
    assert!(error.contains("qwen3.block_count"), "{error}");
    let pre = |name: &[u8; 5]| {
        [b"tokenizer.ggml.pre".as_slice(), &[8, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0], name].concat()
    };
    let error = renamed(&pre(b"gpt-2"), &pre(b"gpt-9")).err().unwrap();
    assert!(error.contains("gpt-9"), "{error}");
    let model = renamed(b"tokenizer.ggml.pre", b"tokenizer.ggml.prx").unwrap();
    let warning = model.warnings.join(" ");
    assert!(warning.contains("tokenizer.ggml.pre is missing"), "{warning}");
    assert!(warning.contains("WORSE"), "{warning}");
    let yarn =
        [b"qwen3.rope.scaling.type".as_slice(), &[8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]].concat();
    let error =
        renamed(&[&yarn[..], b"yarn"].concat(), &[&yarn[..], b"warp"].concat()).err().unwrap();
    assert!(error.contains("warp"), "{error}");
    // The number of dimensions, the second of them 32, the encoding F16.
    let norm = b"blk.0.attn_norm.weight";
    let tensor = |kind: u8| {
        [norm.as_slice(), &[1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, kind, 0, 0, 0]].concat()
    };
    let error = renamed(&tensor(0), &tensor(16)).err().unwrap();
    assert!(error.contains("blk.0.attn_norm.weight") && error.contains("IQ2_XXS (16)"), "{error}");
    let error = renamed(b"blk.1.attn_norm.weight", b"blk.0.attn_norm.weight").err().unwrap();
    assert!(error.contains("blk.0.attn_norm.weight is there twice"), "{error}");
}

#[test]
fn tokens_are_those_of_sentencepiece() {
    let tokenizer = open_tokenizer(&folder().join("llama.gguf")).unwrap();
    assert_eq!(tokenizer.to_json().unwrap(), model().tokenizer.to_json().unwrap());
    assert_eq!((tokenizer.bos, tokenizer.eos.as_slice()), (Some(1), &[2][..]));
    let text = std::fs::read_to_string(folder().join("texts.json")).unwrap();
    let texts: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(texts.len() > 5);
    for case in texts {
        let (text, ids) = (case["text"].as_str().unwrap(), case["ids"].as_array().unwrap());
        let ids: Vec<u32> = ids.iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let ours = tokenizer.encode(text).unwrap();
        assert_eq!(ours, ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ours, true).unwrap(), text);
    }
}
