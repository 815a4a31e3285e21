//! A GGUF file with a SentencePiece tokenizer and Llama 3's rotary table, against transformers and SentencePiece. Made
//! by `tests/parity/make_gguf.py`.

use std::path::{Path, PathBuf};

use fedshield_train::federated::{AdapterLayout, AdapterSpec, FederatedSettings, GlobalAdapter};
use fedshield_train::load::{LoadedModel, SafetensorsSource, open_tokenizer};
use fedshield_train::model::{BasePrecision, RopeScaling};
use fedshield_train::{adapter_logits, cpu};

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
    let decoder = model.decoder(&cpu(), BasePrecision::F32).unwrap();
    let settings = FederatedSettings::default();
    let layout = AdapterLayout::new(&model.config, &AdapterSpec::default()).unwrap();
    let adapter = GlobalAdapter::new(layout, &settings, [0; 32]);
    let reference = SafetensorsSource::open_file(&folder().join("reference.safetensors")).unwrap();
    let (shape, ids) = reference.read_any("ids").unwrap();
    let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    let ours = adapter_logits(&decoder, &adapter, &ids, shape[1]);
    let theirs = reference.read_any("logits").unwrap().1;
    let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
    let difference = ours.iter().zip(&theirs).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference <= 1e-5 * largest, "{difference:e} of {largest:e}");
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
