//! GGUF files: weights, shape and tokenizer in one file, or in shards.

mod byte_level;
mod config;
mod names;
mod pre;
mod quant;
mod reader;
mod rope;
mod sentencepiece;
mod shards;
mod tokenizer;

use std::path::Path;

use super::digest::BaseDigest;
use super::loaded::LoadedModel;
use crate::model::ModelConfig;
use crate::text::TextTokenizer;
use crate::{Result, TrainError, Valid};
use names::GgufSource;

pub(crate) use names::{
    gguf_name, is_interleaved as gguf_is_interleaved, is_stacked as gguf_is_stacked,
};
pub(crate) use pre::{WRITTEN as WRITTEN_SPLITTINGS, splitting as named_splitting};
pub(crate) use reader::{GgufFile, Value};

/// Opens a GGUF file.
pub(crate) fn open(path: &Path) -> Result<LoadedModel> {
    let file = GgufFile::open(path)?;
    let tokenizer = tokenizer_of(&file)?;
    let config = config::read(&file)?.with(|config| {
        config.bos_token_id = tokenizer.bos;
        config.eos_token_ids.clone_from(&tokenizer.eos);
    });
    let config = config.map_err(|reason| TrainError::format(&file.path, reason))?;
    // The files hold configuration, tokenizer and weights, so the digest covers their bytes for all
    // three.
    let mut digest = BaseDigest::new();
    file.bytes().for_each(|bytes| digest.part("gguf", bytes));
    let warnings = pre::warning(&file).into_iter().collect();
    let weights = Box::new(GgufSource::new(file, &config)?);
    Ok(LoadedModel { config, weights, tokenizer, warnings, digest: digest.finish() })
}

/// The shape of a GGUF file's model, from metadata alone.
pub(crate) fn config_at(path: &Path) -> Result<Valid<ModelConfig>> {
    config::read(&GgufFile::open(path)?)
}

/// The tokenizer of a GGUF file, from metadata alone.
pub(crate) fn tokenizer(path: &Path) -> Result<TextTokenizer> {
    tokenizer_of(&GgufFile::open(path)?)
}

fn tokenizer_of(file: &GgufFile) -> Result<TextTokenizer> {
    let mut tokenizer = tokenizer::build(file)?;
    tokenizer.chat_template =
        file.get("tokenizer.chat_template").and_then(Value::as_str).map(str::to_owned);
    tokenizer.tool_template =
        file.get("tokenizer.chat_template.tool_use").and_then(Value::as_str).map(str::to_owned);
    Ok(tokenizer)
}
