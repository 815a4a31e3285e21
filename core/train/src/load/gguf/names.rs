//! Tensor names and layouts: GGUF's to Hugging Face's.

use std::path::Path;

use super::reader::GgufFile;
use crate::model::{Family, ModelConfig, TensorSource};
use crate::{Result, TrainError};

/// The weights of a GGUF file under their Hugging Face names and in their layout.
pub(crate) struct GgufSource {
    pub(crate) file: GgufFile,
    /// Query and key rows are stored in the order of interleaved rotary embeddings (Llama only).
    pub(crate) permuted: bool,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
}

impl GgufSource {
    pub(crate) fn new(file: GgufFile, config: &ModelConfig) -> Self {
        let permuted = matches!(config.family, Family::Llama | Family::Mistral);
        Self { file, permuted, heads: config.heads, kv_heads: config.kv_heads }
    }
}

impl TensorSource for GgufSource {
    fn path(&self) -> &Path {
        &self.file.path
    }

    fn contains(&self, name: &str) -> bool {
        gguf_name(name).is_some_and(|name| self.file.tensors.contains_key(&name))
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let path = self.path();
        let stored = gguf_name(name)
            .ok_or_else(|| TrainError::tensor(path, name, "GGUF has no name for it"))?;
        let (found, values) = self.file.values(&stored)?;
        if found != shape {
            let reason = format!("shape {found:?} (as {stored}), expected {shape:?}");
            return Err(TrainError::tensor(path, name, reason));
        }
        let heads = match self.permuted {
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

pub(crate) fn gguf_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".to_owned()),
        "model.norm.weight" => return Some("output_norm.weight".to_owned()),
        "lm_head.weight" => return Some("output.weight".to_owned()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{module}.{kind}"))
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
        assert_eq!(
            gguf_name("model.layers.3.self_attn.o_proj.weight").as_deref(),
            Some("blk.3.attn_output.weight")
        );
        assert_eq!(gguf_name("something.else"), None);
    }
}
