//! One pass over a batch.

use burn_tensor::Tensor;

use super::attention::AttentionShape;
use super::batch::Batch;
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
    /// The rotary table of layers with a window, where it is another one.
    local_rope: Option<RopeTable>,
    wants: Wants,
}

impl<'a> Pass<'a> {
    pub(super) fn new(decoder: &'a Decoder, sequences: usize, len: usize, wants: Wants) -> Self {
        let config = &decoder.config;
        let shape = AttentionShape::new(config, sequences, len);
        let rope = RopeTable::new(config, len, &decoder.device);
        let local_rope = RopeTable::local(config, len, &decoder.device);
        Self { decoder, shape, rope, local_rope, wants }
    }

    pub(super) fn over(decoder: &'a Decoder, batch: &Batch, wants: Wants) -> Self {
        let mut pass = Self::new(decoder, batch.sequences, batch.len, wants);
        pass.shape.starts.clone_from(&batch.starts);
        pass
    }

    /// One sequence of `len` positions with the rotary tables of these positions.
    pub(super) fn with_ropes(
        decoder: &'a Decoder,
        len: usize,
        (rope, local_rope): (RopeTable, Option<RopeTable>),
        wants: Wants,
    ) -> Self {
        let shape = AttentionShape::new(&decoder.config, 1, len);
        Self { decoder, shape, rope, local_rope, wants }
    }

    /// The context of a layer that goes on from positions before this pass.
    pub(super) fn context_after<'b>(
        &'b self,
        layer: usize,
        past: PastLayer<'b>,
    ) -> LayerContext<'b> {
        LayerContext { past: Some(past), ..self.context(layer) }
    }

    pub(super) fn context(&self, layer: usize) -> LayerContext<'_> {
        let config = &self.decoder.config;
        let window = config.windows[layer];
        let local = self.local_rope.as_ref().filter(|_| window.is_some());
        let rope = config.rope_layers[layer].then(|| local.unwrap_or(&self.rope));
        LayerContext { shape: &self.shape, rope, window, past: None, wants: self.wants }
    }

    /// Forward without keeping anything.
    pub(super) fn hidden(&self, ids: &[u32], lora: &LoraLayers) -> Tensor<2> {
        let mut x = self.decoder.embed(ids);
        for (index, layer) in self.decoder.layers.iter().enumerate() {
            x = layer.forward(x, &lora.layers[index], &self.context(index)).0;
        }
        x
    }
}
