//! Weights on the host: where a model reads its tensors from, and a plain set of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::ModelConfig;
use super::lora::Projection;
use crate::{Result, TrainError};

/// Something that holds tensors by their Hugging Face names.
pub trait TensorSource {
    /// The file or folder, for errors.
    fn path(&self) -> &Path;

    /// The file that holds a tensor, for errors.
    fn file(&self, _name: &str) -> &Path {
        self.path()
    }

    /// Whether the tensor exists.
    fn contains(&self, name: &str) -> bool;

    /// The values of a tensor as f32 in row-major order; fails unless it has exactly `shape`.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
}

/// One tensor on the host, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Dimensions; a projection is `[outputs, inputs]`.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

/// All weights of a base model on the host, by Hugging Face name.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseWeights {
    path: PathBuf,
    /// The tensors, for example `model.layers.0.self_attn.q_proj.weight`.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl BaseWeights {
    /// An empty set; `path` only appears in errors.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), tensors: BTreeMap::new() }
    }

    /// Reads every tensor that `config` calls for.
    pub fn read(config: &ModelConfig, source: &dyn TensorSource) -> Result<Self> {
        let mut weights = Self::new(source.path());
        for (name, shape) in parameter_shapes(config) {
            let values = source.read(&name, &shape)?;
            weights.tensors.insert(name, HostTensor { shape, values });
        }
        Ok(weights)
    }

    /// Freshly initialised weights: normal with standard deviation `std`, norms at one, biases at
    /// zero. The same seed gives the same weights on every machine.
    pub fn random(config: &ModelConfig, seed: [u8; 32], std: f32) -> Self {
        let mut stream = crate::random::Stream::new(seed, "base weights");
        let mut weights = Self::new(Path::new("random weights"));
        for (name, shape) in parameter_shapes(config) {
            let count = shape.iter().product();
            let values = match shape.len() {
                1 if name.ends_with("bias") => vec![0.0; count],
                1 => vec![1.0; count],
                _ => (0..count).map(|_| stream.normal() as f32 * std).collect(),
            };
            weights.tensors.insert(name, HostTensor { shape, values });
        }
        weights
    }

    /// Number of values in all tensors.
    pub fn parameter_count(&self) -> usize {
        self.tensors.values().map(|tensor| tensor.values.len()).sum()
    }
}

impl TensorSource for BaseWeights {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| TrainError::tensor(&self.path, name, "missing"))?;
        if tensor.shape != shape {
            let reason = format!("shape {:?}, expected {shape:?}", tensor.shape);
            return Err(TrainError::tensor(&self.path, name, reason));
        }
        Ok(tensor.values.clone())
    }
}

/// Name and shape of every tensor a model of this configuration has, in the order of the forward
/// pass.
pub fn parameter_shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let hidden = config.hidden_size;
    let mut shapes = vec![(EMBEDDING.to_owned(), vec![config.vocab_size, hidden])];
    for layer in 0..config.layers {
        shapes.push((layer_name(layer, "input_layernorm.weight"), vec![hidden]));
        for projection in Projection::ALL {
            let (outputs, inputs) = projection.shape(config);
            let path = projection.path();
            let name = layer_name(layer, &format!("{path}.weight"));
            shapes.push((name, vec![outputs, inputs]));
            if has_bias(config, projection) {
                shapes.push((layer_name(layer, &format!("{path}.bias")), vec![outputs]));
            }
        }
        if config.qk_norm {
            for norm in ["self_attn.q_norm.weight", "self_attn.k_norm.weight"] {
                shapes.push((layer_name(layer, norm), vec![config.head_dim]));
            }
        }
        shapes.push((layer_name(layer, "post_attention_layernorm.weight"), vec![hidden]));
    }
    shapes.push((FINAL_NORM.to_owned(), vec![hidden]));
    if !config.tied_head {
        shapes.push((HEAD.to_owned(), vec![config.vocab_size, hidden]));
    }
    shapes
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
    }
}
