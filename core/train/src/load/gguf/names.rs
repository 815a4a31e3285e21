//! Tensor names and layouts: from GGUF's to those of Hugging Face.

use std::collections::BTreeSet;
use std::path::Path;

use super::reader::GgufFile;
use crate::model::{Family, ModelConfig, NormPlaces, TensorSource, parameter_shapes};
use crate::{Result, TrainError};

/// Tables of the rotary embedding, which are read with the configuration.
const ROPE: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

/// The weights of a GGUF file under their Hugging Face names and in their layout.
pub(crate) struct GgufSource {
    file: GgufFile,
    family: Family,
    heads: usize,
    kv_heads: usize,
}

impl GgufSource {
    /// # Errors
    /// A tensor that the model would not use, by its name.
    pub(crate) fn new(file: GgufFile, config: &ModelConfig) -> Result<Self> {
        let places: BTreeSet<String> = parameter_shapes(config)
            .iter()
            .filter_map(|(name, _)| gguf_name(name, config.family))
            .collect();
        let used = |name: &String| places.contains(name) || ROPE.contains(&name.as_str());
        if let Some(name) = file.tensors.keys().find(|name| !used(name)) {
            let reason = format!(
                "is stored, and {} layers of {} have no place for it",
                config.layers,
                config.family.name()
            );
            return Err(TrainError::tensor(file.file_of(name), name, reason));
        }
        let (family, heads, kv_heads) = (config.family, config.heads, config.kv_heads);
        Ok(Self { file, family, heads, kv_heads })
    }
}

/// Whether rows of queries and keys are stored in the order of interleaved rotary embeddings.
pub(crate) fn is_interleaved(family: Family) -> bool {
    [Family::Llama, Family::Mistral, Family::SmolLm3, Family::Granite].contains(&family)
}

impl TensorSource for GgufSource {
    fn path(&self) -> &Path {
        &self.file.path
    }

    fn file(&self, name: &str) -> &Path {
        gguf_name(name, self.family).map_or(&self.file.path, |name| self.file.file_of(&name))
    }

    fn contains(&self, name: &str) -> bool {
        gguf_name(name, self.family).is_some_and(|name| self.file.tensors.contains_key(&name))
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let path = self.path();
        let stored = gguf_name(name, self.family)
            .ok_or_else(|| TrainError::tensor(path, name, "GGUF has no name for it"))?;
        let (found, mut values) = match expert(name) {
            Some((_, index)) => self.file.matrix_of(&stored, index)?,
            None => self.file.values(&stored)?,
        };
        if found != shape {
            let reason = format!("shape {found:?} (as {stored}), expected {shape:?}");
            return Err(TrainError::tensor(path, name, reason));
        }
        if self.family == Family::Gemma3 && name.ends_with("norm.weight") {
            // GGUF stores the weight itself, Hugging Face the weight minus one.
            values.iter_mut().for_each(|value| *value -= 1.0);
        }
        let heads = match is_interleaved(self.family) {
            true if name.contains(".q_proj.") => self.heads,
            true if name.contains(".k_proj.") => self.kv_heads,
            _ => return Ok(values),
        };
        Ok(unpermute(&values, shape[0], heads))
    }
}

/// Row (head, j, half) of the file is row (head, half, j) of the Hugging Face weight.
fn unpermute(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let width = values.len() / rows;
    let (head_dim, half) = (rows / heads, rows / heads / 2);
    let mut out = Vec::with_capacity(values.len());
    for head in 0..heads {
        for row in 0..head_dim {
            let (part, j) = (row / half, row % half);
            let source = head * head_dim + 2 * j + part;
            out.extend_from_slice(&values[source * width..(source + 1) * width]);
        }
    }
    out
}

pub(crate) fn gguf_name(name: &str, family: Family) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".to_owned()),
        "model.norm.weight" => return Some("output_norm.weight".to_owned()),
        "lm_head.weight" => return Some("output.weight".to_owned()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, kind) = rest.rsplit_once('.')?;
    if let Some((projection, _)) = expert(name) {
        let which = projection.strip_suffix("_proj.weight")?;
        return Some(format!("blk.{layer}.ffn_{which}_exps.weight"));
    }
    let before = family.norms() == NormPlaces::Before;
    let module = match module {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" if before && family != Family::SeedOss => "ffn_norm",
        "post_attention_layernorm" => "post_attention_norm",
        "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.qkv_proj" => "attn_qkv",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate" => "ffn_gate_inp",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" | "mlp.gate_up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{module}.{kind}"))
}

/// Whether a tensor is stored as a part of another, with those of all experts of its layer.
pub(crate) fn is_stacked(name: &str) -> bool {
    expert(name).is_some()
}

/// The projection of one expert and the expert's number: GGUF stores all experts of a layer in one
/// tensor of three dimensions.
fn expert(name: &str) -> Option<(&str, usize)> {
    let (_, rest) = name.split_once(".mlp.experts.")?;
    let (number, projection) = rest.split_once('.')?;
    Some((projection, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_each_head_go_from_interleaved_to_halves() {
        let stored: Vec<f32> = [0, 2, 1, 3, 4, 6, 5, 7].map(|v| v as f32).to_vec();
        let expected: Vec<f32> = (0..8).map(|v| v as f32).collect();
        assert_eq!(unpermute(&stored, 8, 2), expected);
    }

    #[test]
    fn names() {
        let name = |rest: &str, family| gguf_name(&format!("model.layers.3.{rest}.weight"), family);
        let stored = |rest: &str| Some(format!("blk.3.{rest}.weight"));
        assert_eq!(name("self_attn.o_proj", Family::Llama), stored("attn_output"));
        assert_eq!(name("post_attention_layernorm", Family::Llama), stored("ffn_norm"));
        assert_eq!(name("post_attention_layernorm", Family::Gemma3), stored("post_attention_norm"));
        let norm = name("post_attention_layernorm", Family::SeedOss);
        assert_eq!(norm, stored("post_attention_norm"));
        assert_eq!(name("mlp.gate_up_proj", Family::Phi3), stored("ffn_up"));
        assert_eq!(name("mlp.gate", Family::Qwen3Moe), stored("ffn_gate_inp"));
        assert_eq!(name("mlp.experts.7.up_proj", Family::Qwen3Moe), stored("ffn_up_exps"));
        assert_eq!(gguf_name("something.else", Family::Llama), None);
    }
}
