//! One decoder layer: attention and feed-forward blocks with residuals, forward and backward.

mod feed_forward;
mod projections;

use burn_tensor::Tensor;

use super::attention::{self, AttentionSaved, AttentionShape};
use super::config::ModelConfig;
use super::experts::Experts;
use super::frozen::Frozen;
use super::kernels;
use super::linear::{LinearGradients, Wants};
use super::lora::Projection;
use super::norm::{NormSaved, RmsNorm};
use super::past::PastLayer;
use super::reader::Reader;
use super::rope::RopeTable;
use super::weights::{layer_name, qk_norm_widths};
use crate::Result;
use feed_forward::{FeedForward, FeedForwardSaved};
use projections::{Joint, JointSaved, LayerAdapters, Placed, PlacedSaved};

/// Norms of a layer: before attention, after it, before the feed-forward block, and after it.
pub(crate) const NORMS: usize = 4;
const BEFORE_ATTENTION: usize = 0;
const AFTER_ATTENTION: usize = 1;
const BEFORE_MLP: usize = 2;
const AFTER_MLP: usize = 3;

/// The weights of one layer.
#[derive(Clone)]
pub(crate) struct Layer {
    norms: [Option<RmsNorm>; NORMS],
    queries_keys_values: Joint<2>,
    /// Norms on queries and keys. A weight is as wide as one head or as all heads together.
    qk_norm: Option<(RmsNorm, RmsNorm)>,
    attention_output: Placed,
    feed_forward: FeedForward,
    /// Factor of each block's output before the residual is added.
    residual_scale: f64,
}

/// What a layer needs to know about the pass.
pub(crate) struct LayerContext<'a> {
    pub(crate) shape: &'a AttentionShape,
    /// `None` for a layer without rotary embedding.
    pub(crate) rope: Option<&'a RopeTable>,
    /// Attention window of this layer.
    pub(crate) window: Option<usize>,
    /// Keys and values of the positions before this pass, for generation.
    pub(crate) past: Option<PastLayer<'a>>,
    pub(crate) wants: Wants,
}

/// Activations kept for the backward pass, with the weights that it needs.
pub(crate) struct LayerSaved<'a> {
    norms: [Option<KeptNorm<'a>>; NORMS],
    queries_keys_values: JointSaved<'a, 2>,
    qk_norm: Option<(KeptNorm<'a>, KeptNorm<'a>)>,
    attention: AttentionSaved,
    attention_output: PlacedSaved<'a>,
    feed_forward: FeedForwardSaved<'a>,
    residual_scale: f64,
}

/// Gradients of one layer's parameters.
#[derive(Default)]
pub(crate) struct LayerGradients {
    pub(crate) projections: [LinearGradients; Projection::COUNT],
    pub(crate) norms: [Option<Tensor<1>>; NORMS],
    pub(crate) qk_norm: Option<(Tensor<1>, Tensor<1>)>,
}

/// A norm and what its backward pass needs.
struct KeptNorm<'a> {
    norm: &'a RmsNorm,
    saved: NormSaved,
}

impl<'a> KeptNorm<'a> {
    fn forward(norm: &'a RmsNorm, x: Tensor<2>) -> (Tensor<2>, Self) {
        let (y, saved) = norm.forward(x);
        (y, Self { norm, saved })
    }

    /// As [`Self::forward`]; without a norm the output is the input.
    fn optional(norm: Option<&'a RmsNorm>, x: Tensor<2>) -> (Tensor<2>, Option<Self>) {
        match norm {
            None => (x, None),
            Some(norm) => {
                let (y, kept) = Self::forward(norm, x);
                (y, Some(kept))
            }
        }
    }

    /// As [`Self::forward`], each head by itself or all heads together.
    fn heads(norm: &'a RmsNorm, x: Tensor<2>) -> (Tensor<2>, Self) {
        let [rows, width] = x.dims();
        let run = norm.gamma.dims()[0];
        let (y, kept) = Self::forward(norm, x.reshape([rows * width / run, run]));
        (y.reshape([rows, width]), kept)
    }

    fn heads_backward(&self, dy: Tensor<2>, wants: Wants) -> (Tensor<2>, Option<Tensor<1>>) {
        let [rows, width] = dy.dims();
        let run = self.norm.gamma.dims()[0];
        let dy = dy.reshape([rows * width / run, run]);
        let (dx, d_gamma) = self.norm.backward(dy, &self.saved, wants.base);
        (dx.reshape([rows, width]), d_gamma)
    }
}

impl Layer {
    /// Reads layer `index` of the model.
    pub(crate) fn load(reader: &Reader<'_>, config: &ModelConfig, index: usize) -> Result<Self> {
        let placed = |place| Placed::load(reader, config, index, place);
        let is_fused = config.family.fused();
        let (heads, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let queries_keys_values = match is_fused {
            true => {
                Joint::Fused { all: placed(Projection::QkvProj)?, first: heads, more: [keys, keys] }
            }
            false => Joint::Separate(
                placed(Projection::QProj)?,
                [placed(Projection::KProj)?, placed(Projection::VProj)?],
            ),
        };
        let feed_forward = match (config.experts_of(index), is_fused) {
            (Some(shape), _) => FeedForward::Experts(Experts::load(reader, config, shape, index)?),
            (None, true) => FeedForward::Dense {
                gate_and_up: Joint::Fused {
                    all: placed(Projection::GateUpProj)?,
                    first: config.intermediate_size,
                    more: [config.intermediate_size],
                },
                down: placed(Projection::DownProj)?,
                activation: config.activation,
            },
            (None, false) => FeedForward::Dense {
                gate_and_up: Joint::Separate(
                    placed(Projection::GateProj)?,
                    [placed(Projection::UpProj)?],
                ),
                down: placed(Projection::DownProj)?,
                activation: config.activation,
            },
        };
        Ok(Self {
            norms: read_norms(reader, config, index)?,
            queries_keys_values,
            qk_norm: read_qk_norm(reader, config, index)?,
            attention_output: placed(Projection::OProj)?,
            feed_forward,
            residual_scale: config.residual_scale,
        })
    }

    /// The frozen matrices of its projections.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &Frozen> {
        let mut placed = self.queries_keys_values.placed();
        placed.push(&self.attention_output);
        if let FeedForward::Dense { gate_and_up, down, .. } = &self.feed_forward {
            placed.extend(gate_and_up.placed());
            placed.push(down);
        }
        placed.into_iter().map(Placed::weight)
    }

    /// As [`Self::matrices`].
    pub(crate) fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Frozen> {
        let mut placed = self.queries_keys_values.placed_mut();
        placed.push(&mut self.attention_output);
        if let FeedForward::Dense { gate_and_up, down, .. } = &mut self.feed_forward {
            placed.extend(gate_and_up.placed_mut());
            placed.push(down);
        }
        placed.into_iter().map(Placed::weight_mut)
    }

    /// The experts of a sparse layer.
    pub(crate) fn experts(&self) -> Option<&Experts> {
        match &self.feed_forward {
            FeedForward::Experts(experts) => Some(experts),
            FeedForward::Dense { .. } => None,
        }
    }

    /// As [`Self::experts`].
    pub(crate) fn experts_mut(&mut self) -> Option<&mut Experts> {
        match &mut self.feed_forward {
            FeedForward::Experts(experts) => Some(experts),
            FeedForward::Dense { .. } => None,
        }
    }

    /// `x` is `[rows, hidden]`; returns the same shape.
    pub(crate) fn forward<'a>(
        &'a self,
        x: Tensor<2>,
        adapters: &'a LayerAdapters,
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerSaved<'a>) {
        let (shape, wants) = (context.shape, context.wants);
        let norm = |place: usize, x| KeptNorm::optional(self.norms[place].as_ref(), x);
        let (normed, before_attention) = norm(BEFORE_ATTENTION, x.clone());
        let ((q, [k, v]), queries_keys_values) =
            self.queries_keys_values.forward(&normed, adapters, wants);
        let (q, k, qk_norm) = self.norm_heads(q, k);
        let q = kernels::split_heads(q, shape.queries(), context.rope, shape.scale);
        let k = kernels::split_heads(k, shape.keys(), context.rope, 1.0);
        let v = kernels::split_heads(v, shape.keys(), None, 1.0);
        let (mixed, attention) = match context.past {
            None => attention::forward(shape, q, k, v, context.window),
            Some(past) => past.attend(shape, [q, k, v], context.window),
        };
        let (out, attention_output) = self.attention_output.forward(&mixed, adapters, wants);
        let (out, after_attention) = norm(AFTER_ATTENTION, out);
        let x = kernels::add(scaled(out, self.residual_scale), &x);
        let (normed, before_mlp) = norm(BEFORE_MLP, x.clone());
        let (out, feed_forward) = self.feed_forward.forward(&normed, adapters, wants);
        let (out, after_mlp) = norm(AFTER_MLP, out);
        let y = kernels::add(scaled(out, self.residual_scale), &x);
        let saved = LayerSaved {
            norms: [before_attention, after_attention, before_mlp, after_mlp],
            queries_keys_values,
            qk_norm,
            attention,
            attention_output,
            feed_forward,
            residual_scale: self.residual_scale,
        };
        (y, saved)
    }

    fn norm_heads(
        &self,
        q: Tensor<2>,
        k: Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>, Option<(KeptNorm<'_>, KeptNorm<'_>)>) {
        let Some((q_norm, k_norm)) = &self.qk_norm else { return (q, k, None) };
        let (q, q_kept) = KeptNorm::heads(q_norm, q);
        let (k, k_kept) = KeptNorm::heads(k_norm, k);
        (q, k, Some((q_kept, k_kept)))
    }
}

impl LayerSaved<'_> {
    /// `dy` is the gradient of the layer's output; returns that of its input.
    pub(crate) fn backward(
        self,
        dy: Tensor<2>,
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerGradients) {
        let (shape, wants) = (context.shape, context.wants);
        let mut gradients = LayerGradients::default();
        let mut norms = self.norms;
        let mut norm = |place: usize, dy, gradients: &mut LayerGradients| {
            let Some(kept) = norms[place].take() else { return dy };
            let (dx, d_gamma) = kept.norm.backward(dy, &kept.saved, wants.base);
            gradients.norms[place] = d_gamma;
            dx
        };
        let d_out = norm(AFTER_MLP, scaled(dy.clone(), self.residual_scale), &mut gradients);
        let d_normed = self.feed_forward.backward(d_out, &mut gradients);
        let dy = kernels::add(norm(BEFORE_MLP, d_normed, &mut gradients), &dy);

        let d_out = scaled(dy.clone(), self.residual_scale);
        let d_out = norm(AFTER_ATTENTION, d_out, &mut gradients);
        let d_mixed = self.attention_output.backward(None, d_out, &mut gradients);
        let (dq, dk, dv) = attention::backward(shape, d_mixed, self.attention);
        let mut dq = kernels::join_heads(dq, shape.queries(), context.rope, shape.scale);
        let mut dk = kernels::join_heads(dk, shape.keys(), context.rope, 1.0);
        let dv = kernels::join_heads(dv, shape.keys(), None, 1.0);
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            let (q_gamma, k_gamma);
            (dq, q_gamma) = q_norm.heads_backward(dq, wants);
            (dk, k_gamma) = k_norm.heads_backward(dk, wants);
            gradients.qk_norm = q_gamma.zip(k_gamma);
        }
        let d_normed = self.queries_keys_values.backward((dq, [dk, dv]), &mut gradients);
        let dx = kernels::add(norm(BEFORE_ATTENTION, d_normed, &mut gradients), &dy);
        (dx, gradients)
    }
}

fn scaled(x: Tensor<2>, factor: f64) -> Tensor<2> {
    if factor == 1.0 { x } else { x.mul_scalar(factor) }
}

/// Reads the norm called `name`, `width` wide.
pub(super) fn read_norm(
    reader: &Reader<'_>,
    config: &ModelConfig,
    name: &str,
    width: usize,
) -> Result<RmsNorm> {
    let offset = if config.family.norm_offset() { 1.0 } else { 0.0 };
    Ok(RmsNorm { gamma: reader.gamma(name, width, offset)?, eps: config.rms_norm_eps })
}

fn read_norms(
    reader: &Reader<'_>,
    config: &ModelConfig,
    index: usize,
) -> Result<[Option<RmsNorm>; NORMS]> {
    let mut norms: [Option<RmsNorm>; NORMS] = Default::default();
    for (place, name) in norms.iter_mut().zip(config.family.norms().names()) {
        if let Some(name) = name {
            let name = layer_name(index, &format!("{name}.weight"));
            *place = Some(read_norm(reader, config, &name, config.hidden_size)?);
        }
    }
    Ok(norms)
}

fn read_qk_norm(
    reader: &Reader<'_>,
    config: &ModelConfig,
    index: usize,
) -> Result<Option<(RmsNorm, RmsNorm)>> {
    let [queries, keys] = qk_norm_widths(config)[..] else { return Ok(None) };
    let norm = |which: &str, width: usize| {
        let name = layer_name(index, &format!("self_attn.{which}.weight"));
        read_norm(reader, config, &name, width)
    };
    Ok(Some((norm("q_norm", queries)?, norm("k_norm", keys)?)))
}
