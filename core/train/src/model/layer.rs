//! One decoder layer: attention and feed-forward blocks with residuals, forward and backward.

use burn_tensor::Tensor;

use super::attention::{self, AttentionSaved, AttentionShape};
use super::kernels;
use super::linear::{Linear, LinearGradients, LinearSaved, Wants};
use super::lora::{Lora, Projection};
use super::norm::{NormSaved, RmsNorm};
use super::past::PastLayer;
use super::rope::RopeTable;

/// The weights of one layer. Projections are indexed by [`Projection::slot`].
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) input_norm: RmsNorm,
    pub(crate) post_norm: RmsNorm,
    pub(crate) projections: [Linear; 7],
    /// Norms on each head's queries and keys (Qwen3).
    pub(crate) qk_norm: Option<(RmsNorm, RmsNorm)>,
}

/// What a layer needs to know about the batch.
pub(crate) struct LayerContext<'a> {
    pub(crate) shape: &'a AttentionShape,
    pub(crate) rope: &'a RopeTable,
    /// Attention window of this layer.
    pub(crate) window: Option<usize>,
    /// Positions before this pass, for generation.
    pub(crate) past: Option<PastLayer<'a>>,
    pub(crate) wants: Wants,
}

/// Activations kept for the backward pass.
pub(crate) struct LayerSaved {
    input_norm: NormSaved,
    post_norm: NormSaved,
    projections: Vec<LinearSaved>,
    qk_norm: Option<(NormSaved, NormSaved)>,
    attention: AttentionSaved,
    gate: Tensor<2>,
    up: Tensor<2>,
}

/// Gradients of one layer's parameters.
#[derive(Default)]
pub(crate) struct LayerGradients {
    pub(crate) projections: [LinearGradients; 7],
    pub(crate) input_norm: Option<Tensor<1>>,
    pub(crate) post_norm: Option<Tensor<1>>,
    pub(crate) qk_norm: Option<(Tensor<1>, Tensor<1>)>,
}

impl Layer {
    /// `x` is `[rows, hidden]`; returns the same shape.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        lora: &[Option<Lora>; 7],
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerSaved) {
        let mut kept = Vec::with_capacity(7);
        let mut project = |projection: Projection, x: &Tensor<2>| {
            let slot = projection.slot();
            let (y, saved) = self.projections[slot].forward(x, lora[slot].as_ref(), context.wants);
            kept.push(saved);
            y
        };
        let shape = context.shape;
        let (normed, input_norm) = self.input_norm.forward(x.clone());
        let q = project(Projection::QProj, &normed);
        let k = project(Projection::KProj, &normed);
        let v = project(Projection::VProj, &normed);
        let (q, k, qk_norm) = self.norm_heads(q, k, shape);
        let rope = Some(context.rope);
        let q = kernels::split_heads(q, shape.queries(), rope, shape.scale());
        let k = kernels::split_heads(k, shape.keys(), rope, 1.0);
        let v = kernels::split_heads(v, shape.keys(), None, 1.0);
        let (mixed, attention) = match context.past {
            None => attention::forward(shape, q, k, v, context.window),
            Some(past) => past.attend(shape, [q, k, v], context.window),
        };
        let mixed = kernels::join_heads(mixed, shape.queries(), None, 1.0);
        let x = x + project(Projection::OProj, &mixed);
        let (normed, post_norm) = self.post_norm.forward(x.clone());
        let gate = project(Projection::GateProj, &normed);
        let up = project(Projection::UpProj, &normed);
        let inner = kernels::swiglu(&gate, &up);
        let y = x + project(Projection::DownProj, &inner);
        let saved =
            LayerSaved { input_norm, post_norm, projections: kept, qk_norm, attention, gate, up };
        (y, saved)
    }

    /// `dy` is the gradient of the layer's output; returns that of its input.
    pub(crate) fn backward(
        &self,
        dy: Tensor<2>,
        saved: LayerSaved,
        lora: &[Option<Lora>; 7],
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerGradients) {
        let mut gradients = LayerGradients::default();
        let (shape, wants) = (context.shape, context.wants);
        let kept = &saved.projections;
        let mut back = |projection: Projection, dy: Tensor<2>| {
            let slot = projection.slot();
            let (dx, g) =
                self.projections[slot].backward(dy, &kept[slot], lora[slot].as_ref(), wants);
            gradients.projections[slot] = g;
            dx
        };
        let d_inner = back(Projection::DownProj, dy.clone());
        let (d_gate, d_up) = kernels::swiglu_backward(&d_inner, &saved.gate, &saved.up);
        let d_normed = back(Projection::GateProj, d_gate) + back(Projection::UpProj, d_up);
        let (dx, post_norm) = self.post_norm.backward(d_normed, &saved.post_norm, wants.base);
        let dy = dy + dx;

        let d_mixed = back(Projection::OProj, dy.clone());
        let d_mixed = kernels::split_heads(d_mixed, shape.queries(), None, 1.0);
        let (dq, dk, dv) = attention::backward(shape, d_mixed, saved.attention);
        let rope = Some(context.rope);
        let dq = kernels::join_heads(dq, shape.queries(), rope, shape.scale());
        let dk = kernels::join_heads(dk, shape.keys(), rope, 1.0);
        let dv = kernels::join_heads(dv, shape.keys(), None, 1.0);
        let (dq, dk, qk_norm) = self.norm_heads_backward(dq, dk, &saved.qk_norm, context);
        let d_normed =
            back(Projection::QProj, dq) + back(Projection::KProj, dk) + back(Projection::VProj, dv);
        let (dx, input_norm) = self.input_norm.backward(d_normed, &saved.input_norm, wants.base);
        gradients.post_norm = post_norm;
        gradients.input_norm = input_norm;
        gradients.qk_norm = qk_norm;
        (dy + dx, gradients)
    }

    fn norm_heads(
        &self,
        q: Tensor<2>,
        k: Tensor<2>,
        shape: &AttentionShape,
    ) -> (Tensor<2>, Tensor<2>, Option<(NormSaved, NormSaved)>) {
        let Some((q_norm, k_norm)) = &self.qk_norm else { return (q, k, None) };
        let apply = |norm: &RmsNorm, x: Tensor<2>| {
            let [rows, width] = x.dims();
            let heads = width / shape.head_dim;
            let (y, saved) = norm.forward(x.reshape([rows * heads, shape.head_dim]));
            (y.reshape([rows, width]), saved)
        };
        let (q, q_saved) = apply(q_norm, q);
        let (k, k_saved) = apply(k_norm, k);
        (q, k, Some((q_saved, k_saved)))
    }

    fn norm_heads_backward(
        &self,
        dq: Tensor<2>,
        dk: Tensor<2>,
        saved: &Option<(NormSaved, NormSaved)>,
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, Tensor<2>, Option<(Tensor<1>, Tensor<1>)>) {
        let (Some((q_norm, k_norm)), Some((q_saved, k_saved))) = (&self.qk_norm, saved) else {
            return (dq, dk, None);
        };
        let head_dim = context.shape.head_dim;
        let apply = |norm: &RmsNorm, dy: Tensor<2>, saved: &NormSaved| {
            let [rows, width] = dy.dims();
            let dy = dy.reshape([rows * width / head_dim, head_dim]);
            let (dx, d_gamma) = norm.backward(dy, saved, context.wants.base);
            (dx.reshape([rows, width]), d_gamma)
        };
        let (dq, q_gamma) = apply(q_norm, dq, q_saved);
        let (dk, k_gamma) = apply(k_norm, dk, k_saved);
        (dq, dk, q_gamma.zip(k_gamma))
    }
}
