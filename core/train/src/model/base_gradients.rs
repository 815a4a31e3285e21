//! Gradients of base weights, for pretraining a small model. A federation never trains base
//! weights, so this is behind a feature that no shipped program enables.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::config::ModelConfig;
use super::decoder::{Decoder, DecoderGradients};
use super::linear::Wants;
use super::lora::{LoraLayers, Projection};
use super::to_vec;
use super::weights::{EMBEDDING, FINAL_NORM, HEAD, layer_name};
use crate::{Result, TrainError};

/// Mean loss over the labelled tokens of a batch, and its gradient for every base weight.
#[derive(Clone, Debug)]
pub struct BaseGradients {
    /// Mean loss over the labelled tokens, in nats.
    pub loss: f64,
    /// Gradient of the mean loss, by Hugging Face name; each is row-major and as long as the tensor
    /// of that name.
    pub gradients: BTreeMap<String, Vec<f32>>,
}

impl Decoder {
    /// The mean loss of `batch` without an adapter, and the gradient of every base weight. The
    /// weights must be in f32.
    ///
    /// # Errors
    /// A mixture of experts, whose router and experts have no gradients here; a sequence longer
    /// than the model's context, or a token outside its vocabulary.
    pub fn base_gradients(&self, batch: &Batch) -> Result<BaseGradients> {
        if self.config.experts.is_some() {
            let family = self.config.family.name();
            let reason = format!("{family}: router and experts are not trained here");
            return Err(TrainError::setting("model_type", reason));
        }
        let wants = Wants { base: true, ..Wants::default() };
        let labels = batch.label_count() as f64;
        let none = LoraLayers::none(self.config.layers);
        let result = self.gradients(&none, batch, 1.0 / labels, wants)?;
        let loss = result.loss_sum.clone().value() / labels;
        Ok(BaseGradients { loss, gradients: collect(&self.config, batch, result) })
    }

    /// The mean loss of `batch` without an adapter, in nats.
    ///
    /// # Errors
    /// Those of [`Self::base_gradients`].
    pub fn base_loss(&self, batch: &Batch) -> Result<f64> {
        let losses = self.losses(&LoraLayers::none(self.config.layers), batch)?;
        Ok(losses.iter().sum::<f64>() / batch.label_count() as f64)
    }
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
        for (name, gradient) in config.family.norms().names().into_iter().zip(layer.norms) {
            if let Some(name) = name {
                put(layer_name(index, &format!("{name}.weight")), gradient.map(to_vec));
            }
        }
        let (q, k) = layer.qk_norm.unzip();
        put(layer_name(index, "self_attn.q_norm.weight"), q.map(to_vec));
        put(layer_name(index, "self_attn.k_norm.weight"), k.map(to_vec));
    }
    // The decoder's weight is the stored one times the scale of the logits.
    let norm = result.norm.map(|gradient| gradient.mul_scalar(config.logit_scale));
    put(FINAL_NORM.to_owned(), norm.map(to_vec));
    let width = config.hidden_size;
    let head = result.head.map(to_vec);
    let mut embedding = match (config.tied_head, head) {
        (true, Some(head)) => head,
        (_, head) => {
            put(HEAD.to_owned(), head);
            vec![0.0; config.vocab_size * width]
        }
    };
    let embedded = result.embedded.map(|gradient| gradient.mul_scalar(config.embedding_scale));
    let embedded = embedded.map(to_vec).unwrap_or_default();
    for (id, row) in batch.ids.iter().zip(embedded.chunks_exact(width)) {
        let start = *id as usize * width;
        for (sum, value) in embedding[start..start + width].iter_mut().zip(row) {
            *sum += value;
        }
    }
    put(EMBEDDING.to_owned(), Some(embedding));
    gradients
}
