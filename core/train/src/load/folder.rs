//! Hugging Face folders: config.json, tokenizer.json, weights.

use std::path::Path;

use super::digest::BaseDigest;
use super::loaded::LoadedModel;
use super::names::FolderSource;
use crate::model::ModelConfig;
use crate::text::{TextTokenizer, TokenizerFolder};
use crate::{Result, TrainError, Valid};

/// Everything in a folder but the weights.
struct Described {
    config: Valid<ModelConfig>,
    config_text: String,
    tokenizer: TextTokenizer,
    tokenizer_bytes: Vec<u8>,
}

/// Opens a Hugging Face folder.
pub(crate) fn open(folder: &Path) -> Result<LoadedModel> {
    let Described { config, config_text, tokenizer, tokenizer_bytes } = describe(folder)?;
    let weights = FolderSource::open(folder, &config)?;
    let (config, warnings) = super::stored::settle(&config, &weights)?;
    let mut digest = BaseDigest::new();
    digest.part("config", config_text.as_bytes());
    digest.part("tokenizer", &tokenizer_bytes);
    weights.digest_into(&mut digest);
    Ok(LoadedModel {
        config,
        weights: Box::new(weights),
        tokenizer,
        warnings: warnings.into_iter().collect(),
        digest: digest.finish(),
    })
}

/// The shape of a folder's model. Its weights may be missing.
pub(crate) fn config(folder: &Path) -> Result<Valid<ModelConfig>> {
    let path = folder.join("config.json");
    ModelConfig::from_json(&read(&path)?, &path)
}

/// The tokenizer of a folder. Its weights may be missing.
pub(crate) fn tokenizer(folder: &Path) -> Result<TextTokenizer> {
    Ok(describe(folder)?.tokenizer)
}

fn describe(folder: &Path) -> Result<Described> {
    let config_path = folder.join("config.json");
    let config_text = read(&config_path)?;
    let config = ModelConfig::from_json(&config_text, &config_path)?;
    let TokenizerFolder { mut tokenizer, bytes: tokenizer_bytes } =
        TokenizerFolder::open(folder, &model_type(&config_text), config.vocab_size)?;
    for id in config.eos_token_ids.iter().copied().chain(generation_ends(folder)?) {
        if !tokenizer.eos.contains(&id) {
            tokenizer.eos.push(id);
        }
    }
    Ok(Described { config, config_text, tokenizer, tokenizer_bytes })
}

/// The `model_type` of `config.json`.
fn model_type(config: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    json["model_type"].as_str().unwrap_or_default().to_owned()
}

/// End tokens of `generation_config.json`, where chat models list more than `config.json` does.
fn generation_ends(folder: &Path) -> Result<Vec<u32>> {
    let path = folder.join("generation_config.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let json: serde_json::Value = serde_json::from_str(&read(&path)?)
        .map_err(|e| TrainError::format(&path, e.to_string()))?;
    let id = |value: &serde_json::Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    Ok(match &json["eos_token_id"] {
        serde_json::Value::Array(ids) => ids.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(TrainError::io(path))
}
