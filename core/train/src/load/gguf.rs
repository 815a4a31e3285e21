//! GGUF files: one file with weights, shape and tokenizer.

mod byte_level;
mod names;
mod quant;
mod reader;
mod rope;
mod sentencepiece;
mod tokenizer;

use std::path::Path;

use super::digest::BaseDigest;
use super::loaded::LoadedModel;
use crate::model::{Activation, Family, ModelConfig};
use crate::text::TextTokenizer;
use crate::{Result, TrainError};
use names::GgufSource;

pub(crate) use byte_level::{WRITTEN as WRITTEN_SPLITTINGS, named as named_splitting};
pub(crate) use names::gguf_name;
pub(crate) use reader::{GgufFile, Value};

/// Opens a GGUF file.
pub(crate) fn open(path: &Path) -> Result<LoadedModel> {
    let file = GgufFile::open(path)?;
    let tokenizer = tokenizer_of(&file)?;
    let mut config = config(&file)?;
    config.bos_token_id = tokenizer.bos;
    config.eos_token_ids.clone_from(&tokenizer.eos);
    // One file holds configuration, tokenizer and weights, so its bytes are all three.
    let mut digest = BaseDigest::new();
    digest.part("gguf", file.bytes());
    let weights = Box::new(GgufSource::new(file, &config));
    Ok(LoadedModel { config, weights, tokenizer, digest: digest.finish() })
}

/// The shape of a GGUF file's model, from metadata alone.
pub(crate) fn config_at(path: &Path) -> Result<ModelConfig> {
    config(&GgufFile::open(path)?)
}

/// The tokenizer of a GGUF file, from metadata alone.
pub(crate) fn tokenizer(path: &Path) -> Result<TextTokenizer> {
    tokenizer_of(&GgufFile::open(path)?)
}

fn tokenizer_of(file: &GgufFile) -> Result<TextTokenizer> {
    let mut tokenizer = tokenizer::build(file)?;
    tokenizer.chat_template =
        file.get("tokenizer.chat_template").and_then(Value::as_str).map(str::to_owned);
    Ok(tokenizer)
}

/// The model's shape, from metadata.
fn config(file: &GgufFile) -> Result<ModelConfig> {
    let bad = |reason: String| TrainError::format(&file.path, reason);
    let architecture = file.require("general.architecture", Value::as_str)?;
    let family = match architecture {
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        other => {
            return Err(bad(format!("architecture {other:?} is not one of llama, qwen2, qwen3")));
        }
    };
    let key = |name: &str| format!("{architecture}.{name}");
    let size = |name: &str| {
        let value = file.require(&key(name), Value::as_u64)?;
        usize::try_from(value).map_err(|_| bad(format!("{name} is {value}")))
    };
    let optional = |name: &str| file.get(&key(name)).and_then(Value::as_u64).map(|v| v as usize);
    let number = |name: &str| file.get(&key(name)).and_then(Value::as_f64);
    let (hidden_size, heads) = (size("embedding_length")?, size("attention.head_count")?);
    let layers = size("block_count")?;
    if heads == 0 || layers > 4096 {
        return Err(bad(format!("{heads} heads in {layers} layers")));
    }
    let head_dim = optional("attention.key_length").unwrap_or(hidden_size / heads);
    let rope_theta = number("rope.freq_base").unwrap_or(10_000.0);
    let rope_scaling = rope::scaling(file, architecture, rope_theta, head_dim)?;
    let vocab_size = file.tensors.get("token_embd.weight").and_then(|t| t.shape.first().copied());
    let windowed = optional("attention.sliding_window").filter(|_| family == Family::Llama);
    let rope_layers = vec![true; layers];
    let config = ModelConfig {
        family,
        activation: Activation::Silu,
        local_rope: None,
        rotary_dim: head_dim,
        rope_layers,
        attention_scale: (head_dim as f64).sqrt().recip(),
        hidden_size,
        intermediate_size: size("feed_forward_length")?,
        layers,
        heads,
        kv_heads: optional("attention.head_count_kv").unwrap_or(heads),
        head_dim,
        vocab_size: vocab_size.unwrap_or(0),
        rms_norm_eps: number("attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
        rope_theta,
        rope_scaling,
        max_position: size("context_length")?,
        tied_head: !file.tensors.contains_key("output.weight"),
        qkv_bias: file.tensors.contains_key("blk.0.attn_q.bias"),
        output_bias: file.tensors.contains_key("blk.0.attn_output.bias"),
        mlp_bias: file.tensors.contains_key("blk.0.ffn_up.bias"),
        windows: vec![windowed; layers],
        bos_token_id: None,
        eos_token_ids: Vec::new(),
        ..ModelConfig::plain(family)
    };
    config.check().map_err(bad)?;
    Ok(config)
}
