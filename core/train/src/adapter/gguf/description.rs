//! A model's shape in GGUF metadata.

mod family;
mod rotary;
mod windows;

use std::path::Path;

use super::container::Meta;
use super::encode::GgufType;
use crate::load::LoadedModel;
use crate::model::ModelConfig;
use crate::{Result, TrainError};
pub(super) use rotary::tables;

/// llama.cpp's name of the architecture of the model that an adapter is for.
///
/// # Errors
/// A family that llama.cpp does not have, by name.
pub(super) fn architecture(config: &ModelConfig, path: &Path) -> Result<&'static str> {
    let known = family::Architecture::of(config.family);
    known.map(|one| one.name).map_err(|what| refusal(&what, path))
}

/// Metadata of a whole model except for its vocabulary and name.
///
/// # Errors
/// What llama.cpp does not have, or computes differently, by name.
pub(super) fn model(
    model: &LoadedModel,
    matrices: GgufType,
    path: &Path,
) -> Result<Vec<(String, Meta)>> {
    let config = &model.config;
    let refuse = |what: String| refusal(&what, path);
    let known = family::Architecture::of(config.family).map_err(refuse)?;
    known.check(config).map_err(refuse)?;
    let text = |text: &str| Meta::Text(text.to_owned());
    let mut metadata = vec![
        ("general.architecture".to_owned(), text(known.name)),
        ("general.type".to_owned(), text("model")),
        ("general.file_type".to_owned(), Meta::U32(matrices.file_type())),
        ("general.quantization_version".to_owned(), Meta::U32(2)),
    ];
    let sizes = [
        ("context_length", config.max_position),
        ("embedding_length", config.hidden_size),
        ("block_count", config.layers),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.heads),
        ("attention.head_count_kv", config.kv_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("rope.dimension_count", config.rotary_dim),
        ("vocab_size", config.vocab_size),
    ];
    let sizes = sizes.map(|(name, size)| (name, Meta::U32(size as u32)));
    let epsilon = Meta::F32(config.rms_norm_eps as f32);
    let norm = ("attention.layer_norm_rms_epsilon", epsilon);
    let own = known.settings(config).map_err(refuse)?;
    let rope = rotary::settings(config, known.divisors).map_err(refuse)?;
    let all = sizes.into_iter().chain([norm]).chain(own).chain(rope);
    metadata.extend(all.map(|(name, value)| (format!("{}.{name}", known.name), value)));
    Ok(metadata)
}

fn refusal(what: &str, path: &Path) -> TrainError {
    let instead = "merge to --format safetensors instead, and use that in transformers or vLLM";
    TrainError::format(path, format!("{what} cannot be written as GGUF: {instead}"))
}
