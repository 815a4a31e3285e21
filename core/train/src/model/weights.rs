//! Where a model reads its tensors from, and which tensors it has.

use std::path::Path;

use super::config::{ExpertShape, ModelConfig, QkNorm};
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
        let projections = Projection::in_layer(config, layer).iter().copied();
        let (attention, feed_forward): (Vec<_>, Vec<_>) =
            projections.partition(|projection| projection.is_attention());
        norm(&mut shapes, before_attention);
        attention.into_iter().for_each(|one| put_projection(&mut shapes, config, layer, one));
        for (name, width) in ["q_norm", "k_norm"].into_iter().zip(qk_norm_widths(config)) {
            shapes.push((layer_name(layer, &format!("self_attn.{name}.weight")), vec![width]));
        }
        norm(&mut shapes, after_attention);
        norm(&mut shapes, before_mlp);
        feed_forward.into_iter().for_each(|one| put_projection(&mut shapes, config, layer, one));
        if let Some(experts) = config.experts_of(layer) {
            put_experts(&mut shapes, experts, hidden, layer);
        }
        norm(&mut shapes, after_mlp);
    }
    shapes.push((FINAL_NORM.to_owned(), vec![hidden]));
    if !config.tied_head {
        shapes.push((HEAD.to_owned(), vec![config.vocab_size, hidden]));
    }
    shapes
}

fn put_projection(
    shapes: &mut Vec<(String, Vec<usize>)>,
    config: &ModelConfig,
    layer: usize,
    projection: Projection,
) {
    let (outputs, inputs) = projection.shape(config);
    let path = layer_name(layer, &projection.path());
    shapes.push((format!("{path}.weight"), vec![outputs, inputs]));
    if has_bias(config, projection) {
        shapes.push((format!("{path}.bias"), vec![outputs]));
    }
}

fn put_experts(
    shapes: &mut Vec<(String, Vec<usize>)>,
    experts: &ExpertShape,
    hidden: usize,
    layer: usize,
) {
    shapes.push((router_name(layer), vec![experts.count, hidden]));
    for expert in 0..experts.count {
        let into = vec![experts.width, hidden];
        let out = vec![hidden, experts.width];
        for (which, shape) in EXPERT_PROJECTIONS.into_iter().zip([into.clone(), into, out]) {
            shapes.push((expert_name(layer, expert, which), shape));
        }
    }
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

/// The projections of an expert, in the order of its forward pass.
pub(crate) const EXPERT_PROJECTIONS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// The weight of one expert's projection, as published checkpoints name it.
pub(crate) fn expert_name(layer: usize, expert: usize, projection: &str) -> String {
    layer_name(layer, &format!("mlp.experts.{expert}.{projection}.weight"))
}

pub(crate) fn router_name(layer: usize) -> String {
    layer_name(layer, "mlp.gate.weight")
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
