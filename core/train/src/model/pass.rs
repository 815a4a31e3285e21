//! The tables and shapes of one pass over a batch.

use std::sync::{Arc, Mutex, PoisonError};

use burn_tensor::Tensor;

use super::attention::{AttentionShape, Masks};
use super::batch::{Batch, Indices};
use super::decoder::Decoder;
use super::layer::LayerContext;
use super::linear::Wants;
use super::lora::LoraLayers;
use super::past::PastLayer;
use super::rope::RopeTable;

/// Shapes and tables of one pass over a batch.
pub(super) struct Pass<'a> {
    decoder: &'a Decoder,
    shape: AttentionShape,
    rope: RopeTable,
    /// The rotary table of layers with a window, where it differs.
    local_rope: Option<RopeTable>,
    wants: Wants,
    pub(super) ids: Indices,
    /// The rows at which a loss is taken; empty where nothing is predicted.
    pub(super) rows: Indices,
    /// The tokens to predict at these rows.
    pub(super) targets: Indices,
}

/// The tables of the last length used, which is usually also the next one. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Tables(Arc<Mutex<Option<(usize, Rotary)>>>);

/// The table of all layers, and that of layers with a window, where it differs.
pub(super) type Rotary = (RopeTable, Option<RopeTable>);

impl Tables {
    fn rotary(&self, decoder: &Decoder, len: usize) -> Rotary {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, tables)) if *of == len => tables.clone(),
            _ => {
                let (config, device) = (&decoder.config, &decoder.device);
                let tables =
                    (RopeTable::new(config, len, device), RopeTable::local(config, len, device));
                *last = Some((len, tables.clone()));
                tables
            }
        }
    }
}

impl<'a> Pass<'a> {
    /// A pass over rows of `len` tokens, `ids` in all, without a loss.
    pub(super) fn new(decoder: &'a Decoder, ids: &[u32], len: usize, wants: Wants) -> Self {
        let [ids] = Indices::put([ids], &decoder.device);
        let none = Indices { host: Vec::new(), tensor: ids.tensor.clone() };
        Self::with(decoder, len, wants, [ids, none.clone(), none])
    }

    pub(super) fn over(decoder: &'a Decoder, batch: &Batch, wants: Wants) -> Self {
        let (ids, rows, targets) = (&batch.ids[..], &batch.rows[..], &batch.targets[..]);
        let Some(starts) = &batch.starts else {
            let indices = Indices::put([ids, rows, targets], &decoder.device);
            return Self::with(decoder, batch.len, wants, indices);
        };
        let [ids, rows, targets, places] =
            Indices::put([ids, rows, targets, starts], &decoder.device);
        let mut pass = Self::with(decoder, batch.len, wants, [ids, rows, targets]);
        pass.shape.starts = Some(Arc::clone(starts));
        pass.shape.masks = Masks::packed(places.tensor, batch.sequences, batch.len);
        pass
    }

    /// A pass over a continuation of one sequence, with the rotary tables of its positions.
    pub(super) fn after(
        decoder: &'a Decoder,
        ids: &[u32],
        (rope, local_rope): Rotary,
        wants: Wants,
    ) -> Self {
        let [ids] = Indices::put([ids], &decoder.device);
        let none = Indices { host: Vec::new(), tensor: ids.tensor.clone() };
        let mut shape = AttentionShape::new(&decoder.config, 1, ids.host.len());
        shape.compute = decoder.head().compute();
        let (rows, targets) = (none.clone(), none);
        Self { decoder, shape, rope, local_rope, wants, ids, rows, targets }
    }

    /// The context of a layer that continues from positions before this pass.
    pub(super) fn context_after<'b>(
        &'b self,
        layer: usize,
        past: PastLayer<'b>,
    ) -> LayerContext<'b> {
        LayerContext { past: Some(past), ..self.context(layer) }
    }

    fn with(
        decoder: &'a Decoder,
        len: usize,
        wants: Wants,
        [ids, rows, targets]: [Indices; 3],
    ) -> Self {
        let sequences = ids.host.len() / len.max(1);
        let mut shape = AttentionShape::new(&decoder.config, sequences, len);
        shape.compute = decoder.head().compute();
        let (rope, local_rope) = decoder.tables.rotary(decoder, len);
        Self { decoder, shape, rope, local_rope, wants, ids, rows, targets }
    }

    pub(super) fn context(&self, layer: usize) -> LayerContext<'_> {
        let config = &self.decoder.config;
        let window = config.windows[layer];
        let local = self.local_rope.as_ref().filter(|_| window.is_some());
        let rope = config.rope_layers[layer].then(|| local.unwrap_or(&self.rope));
        LayerContext { shape: &self.shape, rope, window, past: None, wants: self.wants }
    }

    /// Forward pass that keeps no activations.
    pub(super) fn hidden(&self, lora: &LoraLayers) -> Tensor<2> {
        let mut x = self.decoder.embed(&self.ids);
        for (index, layer) in self.decoder.layers.iter().enumerate() {
            x = layer.forward(x, &lora.layers[index], &self.context(index)).0;
        }
        x
    }
}
