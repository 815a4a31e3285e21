//! One decoder layer: attention and feed-forward blocks with residuals, forward and backward.

use burn::tensor::Tensor;

use super::attention::{self, AttentionSaved, AttentionShape};
use super::kernels;
use super::linear::{self, Linear, LinearGradients, LinearSaved, Wants};
use super::lora::{Lora, Projection};
use super::norm::{NormSaved, RmsNorm};
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
    pub(crate) wants: Wants,
}

/// Activations kept for the backward pass.
pub(crate) struct LayerSaved {
    input_norm: NormSaved,
    post_norm: NormSaved,
    qkv: [LinearSaved; 3],
    output: LinearSaved,
    gate_up: [LinearSaved; 2],
    down: LinearSaved,
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

/// The projections that read a layer's normed input.
const QKV: [Projection; 3] = [Projection::QProj, Projection::KProj, Projection::VProj];
/// Those that read the normed input of the feed-forward block.
const GATE_UP: [Projection; 2] = [Projection::GateProj, Projection::UpProj];

/// [`kernels::split_heads`], with the memory of `x` given back.
fn split(x: Tensor<2>, shape: [usize; 4], rope: Option<&RopeTable>, scale: f64) -> Tensor<4> {
    let heads = kernels::split_heads(&x, shape, rope, scale);
    kernels::recycle(x);
    heads
}

impl Layer {
    /// `x` is `[rows, hidden]`; returns the same shape.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        lora: &[Option<Lora>; 7],
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerSaved) {
        let shape = context.shape;
        let wants = context.wants;
        let group = |which: &[Projection]| self.group(which, lora);
        let (normed, input_norm) = self.input_norm.forward(x.clone());
        let [(q, kept_q), (k, kept_k), (v, kept_v)] =
            exactly(linear::forward(&group(&QKV), &normed, None, wants));
        kernels::recycle(normed);
        let (q, k, qk_norm) = self.norm_heads(q, k, shape);
        let rope = Some(context.rope);
        let q = split(q, shape.queries(), rope, shape.scale());
        let k = split(k, shape.keys(), rope, 1.0);
        let v = split(v, shape.keys(), None, 1.0);
        let (mixed, attention) = attention::forward(shape, q, k, v, context.window);
        let mixed = kernels::join_heads(mixed, shape.queries(), None, 1.0);
        let (x, kept_o) =
            one(linear::forward(&group(&[Projection::OProj]), &mixed, Some(&x), wants));
        kernels::recycle(mixed);
        let (normed, post_norm) = self.post_norm.forward(x.clone());
        let [(gate, kept_gate), (up, kept_up)] =
            exactly(linear::forward(&group(&GATE_UP), &normed, None, wants));
        kernels::recycle(normed);
        let inner = kernels::swiglu(&gate, &up);
        let (y, kept_down) =
            one(linear::forward(&group(&[Projection::DownProj]), &inner, Some(&x), wants));
        kernels::recycle(inner);
        let saved = LayerSaved {
            input_norm,
            post_norm,
            qkv: [kept_q, kept_k, kept_v],
            output: kept_o,
            gate_up: [kept_gate, kept_up],
            down: kept_down,
            qk_norm,
            attention,
            gate,
            up,
        };
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
        let mut back = |which: &[Projection], dys: Vec<Tensor<2>>, kept: &[LinearSaved]| {
            let (dx, each) = linear::backward(&self.group(which, lora), dys, kept, wants);
            for (projection, g) in which.iter().zip(each) {
                gradients.projections[projection.slot()] = g;
            }
            dx
        };
        let d_inner = back(&[Projection::DownProj], vec![dy.clone()], &[saved.down]);
        let (d_gate, d_up) = kernels::swiglu_backward(&d_inner, &saved.gate, &saved.up);
        [d_inner, saved.gate, saved.up].into_iter().for_each(kernels::recycle);
        let d_normed = back(&GATE_UP, vec![d_gate, d_up], &saved.gate_up);
        let post = &saved.post_norm;
        let (dx, post_norm) = self.post_norm.backward(d_normed, post, Some(&dy), wants.base);
        kernels::recycle(dy);
        let dy = dx;

        let d_mixed = back(&[Projection::OProj], vec![dy.clone()], &[saved.output]);
        let d_mixed = split(d_mixed, shape.queries(), None, 1.0);
        let (dq, dk, dv) = attention::backward(shape, d_mixed, saved.attention, context.window);
        let rope = Some(context.rope);
        let dq = kernels::join_heads(dq, shape.queries(), rope, shape.scale());
        let dk = kernels::join_heads(dk, shape.keys(), rope, 1.0);
        let dv = kernels::join_heads(dv, shape.keys(), None, 1.0);
        let (dq, dk, qk_norm) = self.norm_heads_backward(dq, dk, &saved.qk_norm, context);
        let d_normed = back(&QKV, vec![dq, dk, dv], &saved.qkv);
        let input = &saved.input_norm;
        let (dx, input_norm) = self.input_norm.backward(d_normed, input, Some(&dy), wants.base);
        kernels::recycle(dy);
        saved.post_norm.recycle();
        saved.input_norm.recycle();
        gradients.post_norm = post_norm;
        gradients.input_norm = input_norm;
        gradients.qk_norm = qk_norm;
        (dx, gradients)
    }

    fn group<'a>(
        &'a self,
        which: &[Projection],
        lora: &'a [Option<Lora>; 7],
    ) -> Vec<(&'a Linear, Option<&'a Lora>)> {
        let of = |p: &Projection| (&self.projections[p.slot()], lora[p.slot()].as_ref());
        which.iter().map(of).collect()
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
            let (dx, d_gamma) = norm.backward(dy, saved, None, context.wants.base);
            (dx.reshape([rows, width]), d_gamma)
        };
        let (dq, q_gamma) = apply(q_norm, dq, q_saved);
        let (dk, k_gamma) = apply(k_norm, dk, k_saved);
        (dq, dk, q_gamma.zip(k_gamma))
    }
}

/// The result of one projection.
fn one<T>(results: Vec<T>) -> T {
    let [result] = exactly(results);
    result
}

/// As many results as projections.
fn exactly<T, const N: usize>(results: Vec<T>) -> [T; N] {
    match results.try_into() {
        Ok(results) => results,
        Err(_) => panic!("a group of projections gives one result each"),
    }
}
