//! Where a model reads its tensors from, and which tensors it has.

use std::path::Path;

use super::config::{ModelConfig, QkNorm};
use super::lora::Projection;
use crate::Result;

/// Something that holds tensors by their Hugging Face names.
pub trait TensorSource {
    /// The file or folder, for error messages.
    fn path(&self) -> &Path;

    /// The file that holds a tensor, for error messages.
    fn file(&self, _name: &str) -> &Path {
        self.path()
    }

    /// Whether the tensor exists.
    fn contains(&self, name: &str) -> bool;

    /// The values of a tensor as f32 in row-major order; fails unless it has exactly `shape`.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
}

/// Name and shape of every tensor of a model with this configuration, in the order of the forward
/// pass.
pub fn parameter_shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let hidden = config.hidden_size;
    let mut shapes = vec![(EMBEDDING.to_owned(), vec![config.vocab_size, hidden])];
    let [before_attention, after_attention, before_mlp, after_mlp] = config.family.norms().names();
    for layer in 0..config.layers {
        let norm = |shapes: &mut Vec<(String, Vec<usize>)>, name: Option<&str>| {
            let name = name.map(|name| layer_name(layer, &format!("{name}.weight")));
            shapes.extend(name.map(|name| (name, vec![hidden])));
        };
        norm(&mut shapes, before_attention);
        for projection in Projection::of(config).iter().copied() {
            let (outputs, inputs) = projection.shape(config);
            let path = projection.path();
            if projection == Projection::GateProj || projection == Projection::GateUpProj {
                norm(&mut shapes, after_attention);
                norm(&mut shapes, before_mlp);
            }
            let name = layer_name(layer, &format!("{path}.weight"));
            shapes.push((name, vec![outputs, inputs]));
            if has_bias(config, projection) {
                shapes.push((layer_name(layer, &format!("{path}.bias")), vec![outputs]));
            }
        }
        for (name, width) in ["q_norm", "k_norm"].into_iter().zip(qk_norm_widths(config)) {
            shapes.push((layer_name(layer, &format!("self_attn.{name}.weight")), vec![width]));
        }
        norm(&mut shapes, after_mlp);
    }
    shapes.push((FINAL_NORM.to_owned(), vec![hidden]));
    if !config.tied_head {
        shapes.push((HEAD.to_owned(), vec![config.vocab_size, hidden]));
    }
    shapes
}

/// Widths of the norms on queries and keys; empty if the family has no such norms.
pub(crate) fn qk_norm_widths(config: &ModelConfig) -> Vec<usize> {
    let dim = config.head_dim;
    match config.qk_norm {
        None => Vec::new(),
        Some(QkNorm::Head) => vec![dim, dim],
        Some(QkNorm::Whole) => vec![config.heads * dim, config.kv_heads * dim],
    }
}

pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
pub(crate) const FINAL_NORM: &str = "model.norm.weight";
pub(crate) const HEAD: &str = "lm_head.weight";

pub(crate) fn layer_name(layer: usize, rest: &str) -> String {
    format!("model.layers.{layer}.{rest}")
}

/// Whether a projection has a bias in this configuration.
pub(crate) fn has_bias(config: &ModelConfig, projection: Projection) -> bool {
    match projection {
        Projection::QProj | Projection::KProj | Projection::VProj => config.qkv_bias,
        Projection::OProj => config.output_bias,
        Projection::GateProj | Projection::UpProj | Projection::DownProj => config.mlp_bias,
        Projection::QkvProj | Projection::GateUpProj => false,
    }
}
