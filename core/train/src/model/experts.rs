//! A sparse feed-forward block: a router chooses a few of many experts for each token.
//!
//! Router and experts are frozen, but gradients pass through both: through the experts to their
//! input, and through the weights of the chosen experts to the router's input. Tokens are sorted by
//! expert, so that each expert computes its tokens in one product and nothing is scattered.

mod routes;

use burn_tensor::Tensor;

use super::config::{Activation, ExpertShape, ModelConfig};
use super::frozen::{BasePrecision, Frozen};
use super::kernels;
use super::product::ComputePrecision;
use super::reader::Reader;
use super::transfer::{to_vec, upload};
use super::weights::{EXPERT_PROJECTIONS, expert_name, router_name};
use crate::Result;
use routes::Routes;

/// The experts of one layer and their router.
#[derive(Clone)]
pub(crate) struct Experts {
    /// `[experts, hidden]`, always in f32: rounding it would choose other experts.
    router: Frozen,
    experts: Vec<Expert>,
    chosen: usize,
    normalised: bool,
    activation: Activation,
}

/// A gated feed-forward block; `gate` and `up` are `[width, hidden]`, `down` is `[hidden, width]`.
#[derive(Clone)]
struct Expert {
    gate: Frozen,
    up: Frozen,
    down: Frozen,
}

/// What the backward pass needs, the experts of the forward pass among it.
pub(crate) struct ExpertsSaved<'a> {
    experts: &'a Experts,
    routes: Routes,
    /// Gate and up of each run of [`Routes::runs`].
    inner: Vec<[Tensor<2>; 2]>,
}

impl Experts {
    pub(crate) fn load(
        reader: &Reader<'_>,
        config: &ModelConfig,
        shape: &ExpertShape,
        layer: usize,
    ) -> Result<Self> {
        let (hidden, width) = (config.hidden_size, shape.width);
        let exact = Reader { precision: BasePrecision::F32, ..*reader };
        let router = exact.matrix(&router_name(layer), shape.count, hidden)?;
        let [gate, up, down] = EXPERT_PROJECTIONS;
        let experts = (0..shape.count).map(|expert| {
            let matrix = |which: &str, rows, columns| {
                reader.matrix(&expert_name(layer, expert, which), rows, columns)
            };
            Ok(Expert {
                gate: matrix(gate, width, hidden)?,
                up: matrix(up, width, hidden)?,
                down: matrix(down, hidden, width)?,
            })
        });
        Ok(Self {
            router,
            experts: experts.collect::<Result<_>>()?,
            chosen: shape.chosen,
            normalised: shape.normalised,
            activation: config.activation,
        })
    }

    /// `x` is `[rows, hidden]`; returns the same shape.
    pub(crate) fn forward(&self, x: &Tensor<2>) -> (Tensor<2>, ExpertsSaved<'_>) {
        let [rows, hidden] = x.dims();
        let logits = to_vec(self.router.forward(x.clone()));
        let routes = Routes::new(&logits, rows, self.chosen, self.normalised, &x.device());
        let sorted = x.clone().select(0, routes.tokens.tensor.clone());
        let mut outputs = Vec::with_capacity(routes.runs.len());
        let mut inner = Vec::with_capacity(routes.runs.len());
        for run in &routes.runs {
            let expert = &self.experts[run.expert];
            let x = sorted.clone().narrow(0, run.start, run.count);
            let (gate, up) = (expert.gate.forward(x.clone()), expert.up.forward(x));
            let between = kernels::gated(&gate, &up, self.activation);
            outputs.push(expert.down.forward(between));
            inner.push([gate, up]);
        }
        let weighted = Tensor::cat(outputs, 0) * routes.weights(&x.device());
        let y = routes.gather(weighted, [rows, hidden]);
        (y, ExpertsSaved { experts: self, routes, inner })
    }

    /// Lets the products of the experts be computed in `precision` from now on.
    pub(crate) fn compute_in(&mut self, precision: ComputePrecision) {
        let matrices =
            self.experts.iter_mut().flat_map(|one| [&mut one.gate, &mut one.up, &mut one.down]);
        matrices.for_each(|matrix| matrix.compute_in(precision));
    }

    /// Size in bytes of router and experts.
    pub(crate) fn bytes(&self) -> usize {
        let matrices = self.experts.iter().flat_map(|one| [&one.gate, &one.up, &one.down]);
        matrices.chain([&self.router]).map(Frozen::bytes).sum()
    }
}

impl ExpertsSaved<'_> {
    /// `dy` is the gradient of the output; returns that of the input.
    pub(crate) fn backward(self, dy: &Tensor<2>) -> Tensor<2> {
        let Self { experts: Experts { router, experts, activation, .. }, routes, inner } = self;
        let device = dy.device();
        let sorted = dy.clone().select(0, routes.tokens.tensor.clone());
        let weights = routes.weights(&device);
        let (mut d_inputs, mut d_weights) = (Vec::new(), Vec::new());
        for (run, [gate, up]) in routes.runs.iter().zip(&inner) {
            let expert = &experts[run.expert];
            let run = |of: &Tensor<2>| of.clone().narrow(0, run.start, run.count);
            let d_between = expert.down.backward(None, run(&sorted));
            let between = kernels::gated(gate, up, *activation);
            // The gradient of an expert's weight is its output times dy: (W h) dy = h (W^T dy).
            d_weights.push((d_between.clone() * between).sum_dim(1));
            let d_between = d_between * run(&weights);
            let (d_gate, d_up) = kernels::gated_backward(&d_between, gate, up, *activation);
            let d_x = expert.gate.backward(None, d_gate);
            d_inputs.push(expert.up.backward(Some(d_x), d_up));
        }
        let d_logits = routes.logits_backward(&to_vec(Tensor::cat(d_weights, 0)));
        let d_logits = upload(d_logits, [dy.dims()[0], experts.len()], &device);
        let d_x = routes.gather(Tensor::cat(d_inputs, 0), dy.dims());
        router.backward(Some(d_x), d_logits)
    }
}
