//! A model's shape in GGUF metadata.

use std::path::Path;

use super::container::Meta;
use super::encode::GgufType;
use crate::load::LoadedModel;
use crate::model::{Family, ModelConfig, RopeScaling};
use crate::{Result, TrainError};

/// The tensor of divisors that represents Llama 3's rotary scaling.
pub(super) const ROPE_TABLE: &str = "rope_freqs.weight";

/// llama.cpp's name of the model's architecture.
///
/// # Errors
/// A family or a switch that llama.cpp computes differently, by name.
pub(super) fn architecture(config: &ModelConfig, path: &Path) -> Result<&'static str> {
    let refuse = |what: String| {
        let instead = "convert a merged Hugging Face folder with llama.cpp's own scripts";
        Err(TrainError::format(path, format!("{what} cannot be written as GGUF here: {instead}")))
    };
    let name = match config.family {
        Family::Llama | Family::Mistral => "llama",
        Family::Qwen2 => "qwen2",
        Family::Qwen3 => "qwen3",
        other => return refuse(format!("the family {}", other.name())),
    };
    // llama.cpp does not implement a window for these architectures.
    let windowed = |window: &usize| *window < config.max_position;
    if let Some(window) = config.windows.iter().flatten().find(|window| windowed(window)) {
        return refuse(format!("an attention window of {window} tokens"));
    }
    let biased = config.output_bias || config.mlp_bias;
    if name != "llama" && (biased || (name == "qwen3" && config.qkv_bias)) {
        return refuse(format!("biases of the {name} family beyond its own"));
    }
    Ok(name)
}

/// Metadata of a whole model except for its vocabulary.
///
/// # Errors
/// What [`architecture`] refuses, and unknown rotary scalings.
pub(super) fn model(
    model: &LoadedModel,
    matrices: GgufType,
    path: &Path,
) -> Result<Vec<(String, Meta)>> {
    let config = &model.config;
    let architecture = architecture(config, path)?;
    let name = model.weights.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = |text: &str| Meta::Text(text.to_owned());
    let mut metadata = vec![
        ("general.architecture".to_owned(), text(architecture)),
        ("general.type".to_owned(), text("model")),
        ("general.name".to_owned(), Meta::Text(name)),
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
    let key = |name: &str| format!("{architecture}.{name}");
    metadata.extend(sizes.map(|(name, size)| (key(name), Meta::U32(size as u32))));
    let epsilon = Meta::F32(config.rms_norm_eps as f32);
    metadata.push((key("attention.layer_norm_rms_epsilon"), epsilon));
    metadata.push((key("rope.freq_base"), Meta::F32(config.rope_theta as f32)));
    match &config.rope_scaling {
        None => {}
        Some(RopeScaling::Linear { factor }) => {
            metadata.push((key("rope.scaling.type"), text("linear")));
            metadata.push((key("rope.scaling.factor"), Meta::F32(*factor as f32)));
        }
        Some(RopeScaling::Llama3 { original_max_position, .. }) => {
            let original = Meta::U32(*original_max_position as u32);
            metadata.push((key("rope.scaling.original_context_length"), original));
        }
        Some(other) => {
            let reason = format!("the rotary scaling {other:?} cannot be written as GGUF here");
            return Err(TrainError::format(path, reason));
        }
    }
    Ok(metadata)
}

/// The divisor of each rotary frequency under Llama 3's rule.
pub(super) fn rope_table(config: &ModelConfig) -> Option<Vec<f32>> {
    let Some(rule @ RopeScaling::Llama3 { .. }) = &config.rope_scaling else { return None };
    let dim = config.head_dim;
    let divisor = |j: usize| {
        let frequency = config.rope_theta.powf(-2.0 * j as f64 / dim as f64);
        (frequency / rule.scale(frequency)) as f32
    };
    Some((0..dim / 2).map(divisor).collect())
}
