//! Key-value cache: keys and values of computed positions, so that the next token costs one
//! position instead of all of them.

use std::cell::RefCell;

use burn_tensor::{Device, Tensor, TensorData, activation};

use super::attention::{AttentionSaved, AttentionShape};
use super::config::{ModelConfig, RopeScaling};
use super::decoder::Decoder;
use super::kernels;
use super::linear::Wants;
use super::lora::LoraLayers;
use super::pass::{Pass, Rotary};
use super::product::product;
use super::rope::RopeTable;
use crate::Result;

/// Positions computed at a time: it bounds the scores of a long prompt to this many rows.
const CHUNK: usize = 256;
/// Initial capacity in positions; it doubles when exceeded.
const FIRST_ROOM: usize = 256;

/// The cache of one sequence, over all layers.
pub(crate) struct Past {
    layers: Vec<RefCell<LayerPast>>,
    /// Number of cached positions.
    len: usize,
    rope: RopeTable,
    local_rope: Option<RopeTable>,
    /// Positions run through the layers so far, including those forgotten since.
    computed: usize,
}

/// Rotated keys, and values, `[1, kv_heads, capacity, head_dim]`; `None` before the first position.
#[derive(Default)]
struct LayerPast {
    kept: Option<[Tensor<4>; 2]>,
}

/// One layer's part of a pass that continues from a [`Past`].
#[derive(Clone, Copy)]
pub(crate) struct PastLayer<'a> {
    layer: &'a RefCell<LayerPast>,
    /// Positions before this pass.
    first: usize,
}

impl Past {
    pub(crate) fn new(decoder: &Decoder) -> Self {
        Self {
            layers: decoder.layers.iter().map(|_| RefCell::default()).collect(),
            len: 0,
            rope: RopeTable::new(&decoder.config, FIRST_ROOM, &decoder.device),
            local_rope: RopeTable::local(&decoder.config, FIRST_ROOM, &decoder.device),
            computed: 0,
        }
    }

    /// Positions run through the layers so far, including those forgotten since.
    pub(crate) fn computed(&self) -> usize {
        self.computed
    }

    /// Forgets every position from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Whether the cache cannot be used for a sequence of `total` positions: LongRoPE has different
    /// frequencies for short and for long sequences, and transformers recomputes a sequence where
    /// they change.
    pub(crate) fn is_void(&self, config: &ModelConfig, total: usize) -> bool {
        match config.rope_scaling {
            Some(RopeScaling::LongRope { original_max_position, .. }) => {
                (self.len <= original_max_position) != (total <= original_max_position)
            }
            _ => false,
        }
    }

    fn layer(&self, layer: usize) -> PastLayer<'_> {
        PastLayer { layer: &self.layers[layer], first: self.len }
    }

    /// Rotary tables of the `count` positions after the cached ones.
    fn ropes(&mut self, decoder: &Decoder, count: usize) -> Rotary {
        let (config, total) = (&decoder.config, self.len + count);
        // These frequencies change with the length; cached keys stay as they are, as in
        // transformers.
        let by_length = matches!(
            config.rope_scaling,
            Some(RopeScaling::Dynamic { .. } | RopeScaling::LongRope { .. })
        );
        if by_length || self.rope.len() < total {
            let room = if by_length { total } else { total.next_power_of_two() };
            self.rope = RopeTable::new(config, room, &decoder.device);
            self.local_rope = RopeTable::local(config, room, &decoder.device);
        }
        let local = self.local_rope.as_ref().map(|table| table.rows(self.len, count));
        (self.rope.rows(self.len, count), local)
    }
}

impl Decoder {
    /// Logits of the token after `ids`, which continue the cached positions and are cached
    /// themselves.
    ///
    /// # Errors
    /// A sequence longer than the model's context, or a token outside its vocabulary.
    pub(crate) fn next_logits(
        &self,
        lora: &LoraLayers,
        past: &mut Past,
        ids: &[u32],
    ) -> Result<Vec<f32>> {
        self.check_ids(ids, past.len + ids.len())?;
        let mut last = None;
        for chunk in ids.chunks(CHUNK) {
            last = Some(self.onward(lora, past, chunk));
        }
        let Some(last) = last else { return Ok(Vec::new()) };
        let (h, _) = self.norm.forward(last);
        Ok(super::to_vec(self.head().forward(h)))
    }

    /// The hidden state of the last of `ids`, `[1, hidden]`.
    fn onward(&self, lora: &LoraLayers, past: &mut Past, ids: &[u32]) -> Tensor<2> {
        let total = past.len + ids.len();
        let ropes = past.ropes(self, ids.len());
        let pass = Pass::after(self, ids, ropes, Wants::default());
        let mut x = self.embed(&pass.ids);
        for (index, layer) in self.layers.iter().enumerate() {
            let context = pass.context_after(index, past.layer(index));
            x = layer.forward(x, &lora.layers[index], &context).0;
        }
        past.len = total;
        past.computed += ids.len();
        x.narrow(0, ids.len() - 1, 1)
    }
}

impl LayerPast {
    /// Writes the new keys and values after the first `first` positions and returns all of them.
    fn extend(&mut self, first: usize, new: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
        let [_, heads, count, width] = new[0].dims();
        let total = first + count;
        let device = new[0].device();
        let room = self.kept.as_ref().map_or(0, |kept| kept[0].dims()[2]);
        let old = self.kept.take();
        let mut new = new.into_iter();
        let buffers: [Option<Tensor<4>>; 2] = old.map_or([None, None], |kept| kept.map(Some));
        let kept = buffers.map(|buffer| {
            let grown = match buffer {
                Some(buffer) if total <= room => buffer,
                other => grow(
                    other,
                    first,
                    [1, heads, total.next_power_of_two().max(FIRST_ROOM), width],
                    &device,
                ),
            };
            match new.next() {
                Some(new) => grown.slice_assign([0..1, 0..heads, first..total, 0..width], new),
                None => grown,
            }
        });
        let all = kept.each_ref().map(|buffer| buffer.clone().narrow(2, 0, total));
        self.kept = Some(kept);
        all
    }
}

/// A larger buffer with the first `used` positions of the old one copied into it.
fn grow(old: Option<Tensor<4>>, used: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let larger = Tensor::<4>::zeros(shape, device);
    match old {
        Some(old) if used > 0 => {
            let [_, heads, _, width] = shape;
            larger.slice_assign([0..1, 0..heads, 0..used, 0..width], old.narrow(2, 0, used))
        }
        _ => larger,
    }
}

impl PastLayer<'_> {
    /// Attention of the new queries over all cached keys and the new ones, which are cached too.
    /// Shapes are those of [`attention::forward`](super::attention::forward).
    pub(crate) fn attend(
        self,
        shape: &AttentionShape,
        [q, k, v]: [Tensor<4>; 3],
        window: Option<usize>,
    ) -> (Tensor<2>, AttentionSaved) {
        let count = k.dims()[2];
        let [mut k, mut v] = self.layer.borrow_mut().extend(self.first, [k, v]);
        // The first new position sees `window` positions, itself included; the others start later.
        let from = window.map_or(0, |window| (self.first + 1).saturating_sub(window));
        let seen = self.first + count - from;
        if from > 0 {
            (k, v) = (k.narrow(2, from, seen), v.narrow(2, from, seen));
        }
        let q = shape.stack(q);
        let mut scores = product(q.clone(), k.clone().transpose(), shape.compute);
        if count > 1 {
            let rows = scores.dims()[2];
            scores = scores + self.mask([rows, seen], count, from, window, &q.device());
        }
        let probabilities = activation::softmax(scores, 3);
        let out = product(probabilities.clone(), v.clone(), shape.compute);
        let out = kernels::join_heads(out, shape.queries(), None, 1.0);
        (out, AttentionSaved::whole([q, k, v], probabilities))
    }

    /// The mask: 0 where a row may attend, minus infinity elsewhere. Rows repeat for each query
    /// head that shares a key head.
    fn mask(
        self,
        [rows, columns]: [usize; 2],
        count: usize,
        from: usize,
        window: Option<usize>,
        device: &Device,
    ) -> Tensor<4> {
        let mut mask = vec![f32::NEG_INFINITY; rows * columns];
        for (row, values) in mask.chunks_exact_mut(columns).enumerate() {
            let position = self.first + row % count;
            let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
            values[first.max(from) - from..=position - from].fill(0.0);
        }
        Tensor::from_data(TensorData::new(mask, [1, 1, rows, columns]), device)
    }
}
