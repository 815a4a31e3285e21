//! Which tensors a GGUF file has: one for each of the model's, except that the experts of a layer
//! share one for each of their projections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::HEAD;
use super::encode::GgufType;
use crate::load::{gguf_is_stacked, gguf_name};
use crate::model::{Family, ModelConfig, parameter_shapes, router_name};
use crate::{Result, TrainError};

/// A tensor of the file.
pub(super) struct StoredTensor {
    pub(super) name: String,
    pub(super) kind: GgufType,
    /// Name and shape of the model's tensors that it holds, one after the other.
    pub(super) parts: Vec<(String, Vec<usize>)>,
    stacked: bool,
}

impl StoredTensor {
    /// Row-major; a stack has one dimension more than its parts.
    pub(super) fn shape(&self) -> Vec<usize> {
        let part = self.parts.first().map(|(_, shape)| shape.as_slice()).unwrap_or_default();
        let stack = self.stacked.then_some(self.parts.len());
        stack.into_iter().chain(part.iter().copied()).collect()
    }
}

/// The tensors of a model's file whose matrices are stored as `matrices`, in the order of the
/// forward pass.
///
/// # Errors
/// A tensor that GGUF has no name for.
pub(super) fn tensors(
    config: &ModelConfig,
    matrices: GgufType,
    path: &Path,
) -> Result<Vec<StoredTensor>> {
    let mut shapes = parameter_shapes(config);
    if config.tied_head && matches!(config.family, Family::Olmo2 | Family::Olmo3) {
        // llama.cpp wants a head of this architecture in any case.
        shapes.push((HEAD.to_owned(), vec![config.vocab_size, config.hidden_size]));
    }
    let routers: BTreeSet<String> = (0..config.layers).map(router_name).collect();
    let mut tensors: Vec<StoredTensor> = Vec::with_capacity(shapes.len());
    let mut stacks = BTreeMap::new();
    for (name, shape) in shapes {
        let stored = name_of(&name, config, path)?;
        let stacked = gguf_is_stacked(&name);
        let stack = stacks.get(&stored).and_then(|index: &usize| tensors.get_mut(*index));
        if let Some(tensor) = stack {
            tensor.parts.push((name, shape));
            continue;
        }
        if stacked {
            stacks.insert(stored.clone(), tensors.len());
        }
        // Rounding the router would choose other experts.
        let kind = match routers.contains(&name) {
            true => GgufType::F32,
            false => matrices.for_shape(&shape),
        };
        tensors.push(StoredTensor { name: stored, kind, parts: vec![(name, shape)], stacked });
    }
    Ok(tensors)
}

/// GGUF's name of a tensor.
///
/// # Errors
/// A tensor that GGUF has no name for.
pub(super) fn name_of(name: &str, config: &ModelConfig, path: &Path) -> Result<String> {
    gguf_name(name, config.family)
        .ok_or_else(|| TrainError::tensor(path, name, "GGUF has no name for it"))
}
