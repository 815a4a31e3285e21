//! One decoder layer: attention and feed-forward blocks with residuals, forward and backward.

mod feed_forward;

use burn_tensor::Tensor;

use super::attention::{self, AttentionSaved, AttentionShape};
use super::config::Activation;
use super::experts::Experts;
use super::kernels;
use super::linear::{Linear, LinearGradients, LinearSaved, Wants};
use super::lora::{Lora, Projection};
use super::norm::{NormSaved, RmsNorm};
use super::past::PastLayer;
use super::rope::RopeTable;
use feed_forward::FeedForwardSaved;

/// Norms of a layer: before attention, after it, before the feed-forward block, and after it.
pub(crate) const NORMS: usize = 4;
const BEFORE_ATTENTION: usize = 0;
const AFTER_ATTENTION: usize = 1;
const BEFORE_MLP: usize = 2;
const AFTER_MLP: usize = 3;

/// The weights of one layer. Projections are indexed by [`Projection::slot`].
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) norms: [Option<RmsNorm>; NORMS],
    pub(crate) projections: [Option<Linear>; Projection::COUNT],
    /// Norms on queries and keys. A weight is as wide as one head or as all heads together.
    pub(crate) qk_norm: Option<(RmsNorm, RmsNorm)>,
    /// The experts of a sparse feed-forward block, which then has no projections.
    pub(crate) experts: Option<Experts>,
    pub(crate) activation: Activation,
    /// Factor of each block's output before the residual is added.
    pub(crate) residual_scale: f64,
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

/// Activations kept for the backward pass.
pub(crate) struct LayerSaved<'a> {
    norms: [Option<NormSaved>; NORMS],
    projections: [Option<LinearSaved>; Projection::COUNT],
    qk_norm: Option<(NormSaved, NormSaved)>,
    attention: AttentionSaved,
    feed_forward: FeedForwardSaved<'a>,
}

/// Gradients of one layer's parameters.
#[derive(Default)]
pub(crate) struct LayerGradients {
    pub(crate) projections: [LinearGradients; Projection::COUNT],
    pub(crate) norms: [Option<Tensor<1>>; NORMS],
    pub(crate) qk_norm: Option<(Tensor<1>, Tensor<1>)>,
}

/// The forward pass of projections and norms, and what each keeps for its backward pass.
struct Forward<'a> {
    layer: &'a Layer,
    lora: &'a [Option<Lora>; Projection::COUNT],
    wants: Wants,
    norms: [Option<NormSaved>; NORMS],
    projections: [Option<LinearSaved>; Projection::COUNT],
}

impl Forward<'_> {
    /// A layer has every projection of its family, and no other is ever requested.
    fn project(&mut self, projection: Projection, x: &Tensor<2>) -> Tensor<2> {
        let slot = projection.slot();
        let Some(linear) = &self.layer.projections[slot] else { return x.clone() };
        let (y, saved) = linear.forward(x, self.lora[slot].as_ref(), self.wants);
        self.projections[slot] = Some(saved);
        y
    }

    fn norm(&mut self, place: usize, x: Tensor<2>) -> Tensor<2> {
        let Some(norm) = &self.layer.norms[place] else { return x };
        let (y, saved) = norm.forward(x);
        self.norms[place] = Some(saved);
        y
    }
}

/// The backward pass of projections and norms.
struct Backward<'a> {
    layer: &'a Layer,
    lora: &'a [Option<Lora>; Projection::COUNT],
    wants: Wants,
    norms: [Option<NormSaved>; NORMS],
    projections: [Option<LinearSaved>; Projection::COUNT],
    gradients: LayerGradients,
}

impl Backward<'_> {
    fn project(&mut self, projection: Projection, dy: Tensor<2>) -> Tensor<2> {
        self.project_onto(None, projection, dy)
    }

    /// The gradient of the projection's input, added to `sum` if there is one.
    fn project_onto(
        &mut self,
        sum: Option<Tensor<2>>,
        projection: Projection,
        dy: Tensor<2>,
    ) -> Tensor<2> {
        let slot = projection.slot();
        let (Some(linear), Some(saved)) =
            (&self.layer.projections[slot], self.projections[slot].take())
        else {
            return sum.unwrap_or(dy);
        };
        let lora = self.lora[slot].as_ref();
        let (dx, gradients) = linear.backward(sum, dy, &saved, lora, self.wants);
        self.gradients.projections[slot] = gradients;
        dx
    }

    fn norm(&mut self, place: usize, dy: Tensor<2>) -> Tensor<2> {
        let (Some(norm), Some(saved)) = (&self.layer.norms[place], self.norms[place].take()) else {
            return dy;
        };
        let (dx, d_gamma) = norm.backward(dy, &saved, self.wants.base);
        self.gradients.norms[place] = d_gamma;
        dx
    }
}

impl Layer {
    /// `x` is `[rows, hidden]`; returns the same shape.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        lora: &[Option<Lora>; Projection::COUNT],
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerSaved<'_>) {
        let mut pass = Forward {
            layer: self,
            lora,
            wants: context.wants,
            norms: Default::default(),
            projections: Default::default(),
        };
        let shape = context.shape;
        let normed = pass.norm(BEFORE_ATTENTION, x.clone());
        let [q, k, v] = self.queries_keys_values(&mut pass, &normed, shape);
        let (q, k, qk_norm) = self.norm_heads(q, k);
        let q = kernels::split_heads(q, shape.queries(), context.rope, shape.scale);
        let k = kernels::split_heads(k, shape.keys(), context.rope, 1.0);
        let v = kernels::split_heads(v, shape.keys(), None, 1.0);
        let (mixed, attention) = match context.past {
            None => attention::forward(shape, q, k, v, context.window),
            Some(past) => past.attend(shape, [q, k, v], context.window),
        };
        let out = pass.project(Projection::OProj, &mixed);
        let x = kernels::add(self.scaled(pass.norm(AFTER_ATTENTION, out)), &x);
        let normed = pass.norm(BEFORE_MLP, x.clone());
        let (out, feed_forward) = self.feed_forward(&mut pass, &normed);
        let y = kernels::add(self.scaled(pass.norm(AFTER_MLP, out)), &x);
        let Forward { norms, projections, .. } = pass;
        (y, LayerSaved { norms, projections, qk_norm, attention, feed_forward })
    }

    /// `dy` is the gradient of the layer's output; returns that of its input.
    pub(crate) fn backward(
        &self,
        dy: Tensor<2>,
        saved: LayerSaved<'_>,
        lora: &[Option<Lora>; Projection::COUNT],
        context: &LayerContext<'_>,
    ) -> (Tensor<2>, LayerGradients) {
        let LayerSaved { norms, projections, qk_norm, attention, feed_forward } = saved;
        let (shape, wants) = (context.shape, context.wants);
        let gradients = LayerGradients::default();
        let mut pass = Backward { layer: self, lora, wants, norms, projections, gradients };
        let d_out = pass.norm(AFTER_MLP, self.scaled(dy.clone()));
        let d_normed = self.feed_forward_backward(&mut pass, d_out, feed_forward);
        let dy = kernels::add(pass.norm(BEFORE_MLP, d_normed), &dy);

        let d_out = pass.norm(AFTER_ATTENTION, self.scaled(dy.clone()));
        let d_mixed = pass.project(Projection::OProj, d_out);
        let (dq, dk, dv) = attention::backward(shape, d_mixed, attention);
        let dq = kernels::join_heads(dq, shape.queries(), context.rope, shape.scale);
        let dk = kernels::join_heads(dk, shape.keys(), context.rope, 1.0);
        let dv = kernels::join_heads(dv, shape.keys(), None, 1.0);
        let (dq, dk, d_qk_norm) = self.norm_heads_backward(dq, dk, &qk_norm, wants);
        let d_normed = self.queries_keys_values_backward(&mut pass, [dq, dk, dv]);
        let dx = kernels::add(pass.norm(BEFORE_ATTENTION, d_normed), &dy);
        let mut gradients = pass.gradients;
        gradients.qk_norm = d_qk_norm;
        (dx, gradients)
    }

    fn fused(&self) -> bool {
        self.projections[Projection::QkvProj.slot()].is_some()
    }

    fn scaled(&self, x: Tensor<2>) -> Tensor<2> {
        if self.residual_scale == 1.0 { x } else { x.mul_scalar(self.residual_scale) }
    }

    fn queries_keys_values(
        &self,
        pass: &mut Forward<'_>,
        x: &Tensor<2>,
        shape: &AttentionShape,
    ) -> [Tensor<2>; 3] {
        if !self.fused() {
            return [Projection::QProj, Projection::KProj, Projection::VProj]
                .map(|projection| pass.project(projection, x));
        }
        let all = pass.project(Projection::QkvProj, x);
        let (queries, keys) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        [(0, queries), (queries, keys), (queries + keys, keys)]
            .map(|(start, width)| all.clone().narrow(1, start, width))
    }

    fn queries_keys_values_backward(
        &self,
        pass: &mut Backward<'_>,
        [dq, dk, dv]: [Tensor<2>; 3],
    ) -> Tensor<2> {
        if self.fused() {
            return pass.project(Projection::QkvProj, Tensor::cat(vec![dq, dk, dv], 1));
        }
        let sum = pass.project(Projection::QProj, dq);
        let sum = pass.project_onto(Some(sum), Projection::KProj, dk);
        pass.project_onto(Some(sum), Projection::VProj, dv)
    }

    fn norm_heads(
        &self,
        q: Tensor<2>,
        k: Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>, Option<(NormSaved, NormSaved)>) {
        let Some((q_norm, k_norm)) = &self.qk_norm else { return (q, k, None) };
        let apply = |norm: &RmsNorm, x: Tensor<2>| {
            let [rows, width] = x.dims();
            let run = norm.gamma.dims()[0];
            let (y, saved) = norm.forward(x.reshape([rows * width / run, run]));
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
        wants: Wants,
    ) -> (Tensor<2>, Tensor<2>, Option<(Tensor<1>, Tensor<1>)>) {
        let (Some((q_norm, k_norm)), Some((q_saved, k_saved))) = (&self.qk_norm, saved) else {
            return (dq, dk, None);
        };
        let apply = |norm: &RmsNorm, dy: Tensor<2>, saved: &NormSaved| {
            let [rows, width] = dy.dims();
            let run = norm.gamma.dims()[0];
            let dy = dy.reshape([rows * width / run, run]);
            let (dx, d_gamma) = norm.backward(dy, saved, wants.base);
            (dx.reshape([rows, width]), d_gamma)
        };
        let (dq, q_gamma) = apply(q_norm, dq, q_saved);
        let (dk, k_gamma) = apply(k_norm, dk, k_saved);
        (dq, dk, q_gamma.zip(k_gamma))
    }
}
