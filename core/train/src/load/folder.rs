//! Hugging Face folders: config.json, tokenizer.json, weights.

use std::path::Path;

use serde::Deserialize;

use super::digest::BaseDigest;
use super::loaded::LoadedModel;
use super::safetensors::SafetensorsSource;
use crate::model::ModelConfig;
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

/// The parts of `tokenizer_config.json` that we use.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    add_bos_token: Option<bool>,
    bos_token: Option<TokenName>,
    eos_token: Option<TokenName>,
    chat_template: Option<ChatTemplates>,
}

/// A token's spelling, alone or inside an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum TokenName {
    Plain(String),
    Added { content: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ChatTemplates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

/// Everything in a folder but the weights.
struct Described {
    config: ModelConfig,
    config_text: String,
    tokenizer: TextTokenizer,
    tokenizer_bytes: Vec<u8>,
}

/// Opens a Hugging Face folder.
pub(crate) fn open(folder: &Path) -> Result<LoadedModel> {
    let Described { mut config, config_text, tokenizer, tokenizer_bytes } = describe(folder)?;
    let weights = SafetensorsSource::open_folder(folder)?;
    super::stored::settle(&mut config, &weights)?;
    let mut digest = BaseDigest::new();
    digest.part("config", config_text.as_bytes());
    digest.part("tokenizer", &tokenizer_bytes);
    weights.digest_into(&mut digest);
    Ok(LoadedModel { config, weights: Box::new(weights), tokenizer, digest: digest.finish() })
}

/// The shape of a folder's model. Its weights may be missing.
pub(crate) fn config(folder: &Path) -> Result<ModelConfig> {
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
    let tokenizer_path = folder.join("tokenizer.json");
    let tokenizer_bytes =
        std::fs::read(&tokenizer_path).map_err(TrainError::io(&tokenizer_path))?;
    let settings_path = folder.join("tokenizer_config.json");
    let settings: TokenizerConfig = match settings_path.exists() {
        true => serde_json::from_str(&read(&settings_path)?)
            .map_err(|e| TrainError::format(&settings_path, e.to_string()))?,
        false => TokenizerConfig::default(),
    };
    let mut tokenizer = TextTokenizer::from_bytes(&tokenizer_bytes, None, Vec::new())
        .map_err(|e| TrainError::format(&tokenizer_path, e.to_string()))?;
    let id = |name: &Option<TokenName>| name.as_ref().and_then(|n| tokenizer.id(n.spelling()));
    let bos = match settings.add_bos_token {
        Some(true) => id(&settings.bos_token).or(config.bos_token_id),
        _ => None,
    };
    let mut eos: Vec<u32> = id(&settings.eos_token).into_iter().collect();
    for id in config.eos_token_ids.iter().copied().chain(generation_ends(folder)) {
        if !eos.contains(&id) {
            eos.push(id);
        }
    }
    (tokenizer.bos, tokenizer.eos) = (bos, eos);
    tokenizer.chat_template = chat_template(folder, settings.chat_template)?;
    Ok(Described { config, config_text, tokenizer, tokenizer_bytes })
}

impl TokenName {
    fn spelling(&self) -> &str {
        match self {
            Self::Plain(content) | Self::Added { content } => content,
        }
    }
}

/// `chat_template.jinja`, else the template inside `tokenizer_config.json`.
fn chat_template(folder: &Path, inside: Option<ChatTemplates>) -> Result<Option<String>> {
    let path = folder.join("chat_template.jinja");
    if path.exists() {
        return read(&path).map(Some);
    }
    Ok(inside.and_then(|templates| match templates {
        ChatTemplates::One(template) => Some(template),
        ChatTemplates::Named(all) => {
            all.into_iter().find(|t| t.name == "default").map(|t| t.template)
        }
    }))
}

/// End tokens of `generation_config.json`, where chat models list more than in `config.json`.
fn generation_ends(folder: &Path) -> Vec<u32> {
    let Ok(text) = std::fs::read_to_string(folder.join("generation_config.json")) else {
        return Vec::new();
    };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let id = |value: &serde_json::Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match &json["eos_token_id"] {
        serde_json::Value::Array(ids) => ids.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(TrainError::io(path))
}
