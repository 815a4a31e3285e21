//! Full-parameter training of a small base model, for pretraining what ships with the repository.
//! The federation itself never trains base weights.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::batch::Batch;
use super::config::ModelConfig;
use super::decoder::{Decoder, DecoderGradients};
use super::frozen::BasePrecision;
use super::linear::Wants;
use super::lora::{LoraLayers, Projection};
use super::to_vec;
use super::weights::{BaseWeights, EMBEDDING, FINAL_NORM, HEAD, layer_name};
use crate::Result;

/// Mean loss over the labelled tokens of a batch, and its gradient for every base weight.
#[derive(Clone, Debug)]
pub struct FullGradients {
    /// Mean over the labelled tokens.
    pub loss: f64,
    /// Labelled tokens.
    pub label_count: usize,
    /// Gradient of the mean loss, by Hugging Face name, in the layout of [`BaseWeights`].
    pub gradients: BTreeMap<String, Vec<f32>>,
}

/// The loss of `weights` on `batch` and the gradient of every weight.
///
/// The weights are copied to the device on each call, which costs little beside the step itself for
/// models small enough to be pretrained this way.
pub fn full_gradients(
    config: &ModelConfig,
    weights: &BaseWeights,
    batch: &Batch,
    device: &Device,
) -> Result<FullGradients> {
    let decoder = Decoder::load(config, weights, device, BasePrecision::F32)?;
    let wants = Wants { base: true, ..Wants::default() };
    let label_count = batch.label_count();
    let none = LoraLayers::none(config.layers);
    let result = decoder.gradients(&none, batch, 1.0 / label_count as f64, wants)?;
    let loss = result.loss_sum / label_count as f64;
    Ok(FullGradients { loss, label_count, gradients: collect(config, batch, result) })
}

/// The mean loss of `weights` over the labelled tokens of `batch`.
pub fn full_loss(
    config: &ModelConfig,
    weights: &BaseWeights,
    batch: &Batch,
    device: &Device,
) -> Result<f64> {
    let decoder = Decoder::load(config, weights, device, BasePrecision::F32)?;
    let sum = decoder.loss_sum(&LoraLayers::none(config.layers), batch)?;
    Ok(sum / batch.label_count() as f64)
}

fn collect(
    config: &ModelConfig,
    batch: &Batch,
    result: DecoderGradients,
) -> BTreeMap<String, Vec<f32>> {
    let mut gradients = BTreeMap::new();
    let mut put = |name: String, values: Option<Vec<f32>>| {
        if let Some(values) = values {
            gradients.insert(name, values);
        }
    };
    for (index, layer) in result.layers.into_iter().enumerate() {
        for (projection, g) in Projection::ALL.into_iter().zip(layer.projections) {
            let path = layer_name(index, &projection.path());
            put(format!("{path}.weight"), g.weight.map(to_vec));
            put(format!("{path}.bias"), g.bias.map(to_vec));
        }
        put(layer_name(index, "input_layernorm.weight"), layer.input_norm.map(to_vec));
        put(layer_name(index, "post_attention_layernorm.weight"), layer.post_norm.map(to_vec));
        let (q, k) = layer.qk_norm.unzip();
        put(layer_name(index, "self_attn.q_norm.weight"), q.map(to_vec));
        put(layer_name(index, "self_attn.k_norm.weight"), k.map(to_vec));
    }
    put(FINAL_NORM.to_owned(), result.norm.map(to_vec));
    let width = config.hidden_size;
    let head = result.head.map(to_vec);
    let mut embedding = match (config.tied_head, head) {
        (true, Some(head)) => head,
        (_, head) => {
            put(HEAD.to_owned(), head);
            vec![0.0; config.vocab_size * width]
        }
    };
    let embedded = result.embedded.map(to_vec).unwrap_or_default();
    for (id, row) in batch.ids.iter().zip(embedded.chunks_exact(width)) {
        let start = *id as usize * width;
        for (sum, value) in embedding[start..start + width].iter_mut().zip(row) {
            *sum += value;
        }
    }
    put(EMBEDDING.to_owned(), Some(embedding));
    gradients
}
