//! GGUF files for llama.cpp and programs built on it: an adapter to load with its base (the layout
//! of llama.cpp's `convert_lora_to_gguf.py`), or base and adapter merged into one model.

mod container;
mod description;
mod encode;
mod folder_vocabulary;
mod stored;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::path::Path;

use super::factors::{Adapter, check_fits};
use super::merge::Deltas;
use crate::load::{LoadedModel, gguf_is_interleaved};
use crate::model::{ModelConfig, layer_name};
use crate::{Result, TrainError};
use container::{GgufWriter, Meta};
pub use encode::GgufType;

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Writes an adapter as a GGUF file that llama.cpp loads together with a GGUF file of the base
/// model. Factors are in f32. The file has a single alpha, so B of a projection with a different
/// alpha is rescaled.
///
/// # Errors
/// A model family whose GGUF names are unknown here, an adapter for another model, or an I/O error.
pub fn export_gguf_adapter(path: &Path, config: &ModelConfig, adapter: &dyn Adapter) -> Result<()> {
    let architecture = description::architecture(config, path)?;
    let projections = adapter.projections();
    check_fits(&projections, config)?;
    let Some(alpha) = projections.first().map(|one| one.alpha) else {
        return Err(TrainError::Adapter("it adapts no projection".to_owned()));
    };
    let mut factors = Vec::with_capacity(2 * projections.len());
    for one in &projections {
        let name = layer_name(one.layer, &format!("{}.weight", one.projection.path()));
        let stored = stored::name_of(&name, config, path)?;
        let (outputs, inputs) = one.projection.shape(config);
        let ratio = (one.alpha / alpha) as f32;
        let b: Vec<f32> = one.b.iter().map(|value| value * ratio).collect();
        let b = stored_order(&name, b, outputs, config);
        factors.push((format!("{stored}.lora_a"), vec![one.rank, inputs], one.a.to_vec()));
        factors.push((format!("{stored}.lora_b"), vec![outputs, one.rank], b));
    }
    let metadata = vec![
        ("general.architecture".to_owned(), Meta::Text(architecture.to_owned())),
        ("general.type".to_owned(), Meta::Text("adapter".to_owned())),
        ("general.file_type".to_owned(), Meta::U32(GgufType::F32.file_type())),
        ("adapter.type".to_owned(), Meta::Text("lora".to_owned())),
        ("adapter.lora.alpha".to_owned(), Meta::F32(alpha as f32)),
    ];
    let tensors: Vec<_> = factors
        .iter()
        .map(|(name, shape, _)| (name.clone(), shape.clone(), GgufType::F32))
        .collect();
    let mut writer = GgufWriter::create(path, &metadata, &tensors)?;
    for (name, _, values) in &factors {
        writer.write(name, values)?;
    }
    writer.finish()
}

/// Writes base model and adapter as one GGUF file: W + alpha/rank B A, computed in f32 and rounded
/// once. Matrices are stored as `matrices`, or as F16 where a row is not a whole number of blocks;
/// vectors in f32. Memory holds one weight at a time.
///
/// Returns what users of the file should know: texts that llama.cpp tokenises otherwise than
/// transformers, one sentence each.
///
/// # Errors
/// A model or tokenizer that llama.cpp does not have, an adapter for another model, a value that
/// the type cannot hold, or an I/O error.
pub fn export_gguf_model(
    path: &Path,
    model: &LoadedModel,
    adapter: Option<&dyn Adapter>,
    matrices: GgufType,
) -> Result<Vec<String>> {
    let config = &model.config;
    let mut deltas = Deltas::new(adapter, config)?;
    let mut metadata = description::model(model, matrices, path)?;
    let vocabulary = vocabulary::read(model)?;
    metadata.extend(vocabulary.metadata);
    let stored = stored::tensors(config, matrices, path)?;
    let tables = description::tables(config);
    let listed = stored.iter().map(|tensor| (tensor.name.clone(), tensor.shape(), tensor.kind));
    let listed: Vec<_> = listed
        .chain(tables.iter().map(|(name, table)| {
            let shape = vec![table.len()];
            ((*name).to_owned(), shape, GgufType::F32)
        }))
        .collect();
    let mut writer = GgufWriter::create(path, &metadata, &listed)?;
    let parts =
        stored.iter().flat_map(|tensor| tensor.parts.iter().map(move |part| (tensor, part)));
    for (tensor, (name, shape)) in parts {
        let source = if config.tied_head && name == HEAD { EMBEDDING } else { name };
        let mut values = model.weights.read(source, shape)?;
        if let Some(delta) = deltas.of(name) {
            values.iter_mut().zip(delta).for_each(|(weight, delta)| *weight += delta);
        }
        if config.family.norm_offset() && name.ends_with("norm.weight") {
            // Hugging Face stores the weight minus one, GGUF the weight itself.
            values.iter_mut().for_each(|weight| *weight += 1.0);
        }
        let rows = shape.first().copied().unwrap_or(1);
        writer.write(&tensor.name, &stored_order(name, values, rows, config))?;
    }
    for (name, table) in tables {
        writer.write(name, &table)?;
    }
    writer.finish()?;
    Ok(vocabulary.notes)
}

/// Rows in GGUF's order: those of queries and keys of some architectures are interleaved, so that
/// neighbours are rotated together. This applies to an adapter's B as to the weight itself, and to
/// biases.
fn stored_order(name: &str, values: Vec<f32>, rows: usize, config: &ModelConfig) -> Vec<f32> {
    let heads = match gguf_is_interleaved(config.family) {
        true if name.contains(".q_proj.") => config.heads,
        true if name.contains(".k_proj.") => config.kv_heads,
        _ => return values,
    };
    let width = values.len() / rows;
    let (head_dim, half) = (rows / heads, rows / heads / 2);
    let mut out = Vec::with_capacity(values.len());
    for head in 0..heads {
        for row in 0..head_dim {
            let source = head * head_dim + (row % 2) * half + row / 2;
            out.extend_from_slice(&values[source * width..(source + 1) * width]);
        }
    }
    out
}
