//! Next-token logits of a base model with and without a PEFT adapter, for comparing with
//! transformers + PEFT (`tests/parity/compare_export.py`). Also writes the base as a Hugging Face
//! folder, dequantised, so that both sides run the same weights.
//!
//! ```text
//! cargo run --example logits -- MODEL ADAPTER_FOLDER PROMPTS.txt OUT_FOLDER
//! ```
//!
//! PROMPTS.txt has one prompt on each line. OUT_FOLDER gets `base/` and `logits.safetensors`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fedshield_train::adapter::{export_model, import_peft};
use fedshield_train::federated::{FederatedSettings, GlobalAdapter};
use fedshield_train::load::{LoadedModel, Precision, write_safetensors};
use fedshield_train::model::BasePrecision;
use fedshield_train::{Valid, adapter_logits, cpu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [model, adapter, prompts, out] = words.as_slice() else {
        return Err("usage: logits MODEL ADAPTER_FOLDER PROMPTS.txt OUT_FOLDER".into());
    };
    let model = LoadedModel::open(model)?;
    export_model(&out.join("base"), &model, None, Precision::F32)?;
    let settings = Valid::<FederatedSettings>::default();
    let adapter = import_peft(adapter, &model.config, &settings)?;
    // Its B is zero, so the logits are those of the base.
    let first = GlobalAdapter::new(adapter.layout().clone(), &settings, [0; 32]);
    let decoder = model.decoder(&cpu(), BasePrecision::F32)?;
    let mut tensors = BTreeMap::new();
    for (index, prompt) in std::fs::read_to_string(prompts)?.lines().enumerate() {
        let ids = model.tokenizer.encode(prompt)?;
        let vocab = decoder.config().vocab_size;
        for (name, adapter) in [("base", &first), ("adapted", &adapter)] {
            let logits = adapter_logits(&decoder, adapter, &ids, ids.len());
            let last = logits[logits.len() - vocab..].to_vec();
            tensors.insert(format!("{name}.{index:03}"), (vec![vocab], last));
        }
        let floats = ids.iter().map(|id| *id as f32).collect();
        tensors.insert(format!("ids.{index:03}"), (vec![ids.len()], floats));
    }
    write_safetensors(&out.join("logits.safetensors"), &tensors)?;
    Ok(())
}
