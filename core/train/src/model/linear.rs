//! A projection with an optional adapter, and its hand-written backward pass.
//!
//! Forward: y = x W^T + bias + s (x A^T) B^T. Backward, only the requested gradients: dB = s dy^T u
//! with u = x A^T; du = s dy B; dA = du^T x; dx = dy W + du A; dW = dy^T x.

use burn_tensor::Tensor;

use super::frozen::Frozen;
use super::lora::Lora;
use super::product::{ComputePrecision, add_product, product, scaled};

/// A base projection; `weight` is `[outputs, inputs]` as in the model files.
#[derive(Clone)]
pub(crate) struct Linear {
    pub(crate) weight: Frozen,
    pub(crate) bias: Option<Tensor<1>>,
}

/// Which gradients the backward pass computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Every base weight: full-parameter training.
    pub(crate) base: bool,
    /// Adapter factor A.
    pub(crate) factor_a: bool,
    /// Adapter factor B.
    pub(crate) factor_b: bool,
}

/// Activations kept from the forward pass.
pub(crate) struct LinearSaved {
    /// The input, kept only where a gradient needs it.
    x: Option<Tensor<2>>,
    /// u = x A^T.
    u: Option<Tensor<2>>,
}

/// Gradients of one projection's parameters; `None` where not requested.
#[derive(Default)]
pub(crate) struct LinearGradients {
    pub(crate) weight: Option<Tensor<2>>,
    pub(crate) bias: Option<Tensor<1>>,
    pub(crate) a: Option<Tensor<2>>,
    pub(crate) b: Option<Tensor<2>>,
}

impl Linear {
    /// `x` is `[rows, inputs]`; returns `[rows, outputs]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor<2>,
        lora: Option<&Lora>,
        wants: Wants,
    ) -> (Tensor<2>, LinearSaved) {
        let mut y = self.weight.forward(x.clone());
        if let Some(bias) = &self.bias {
            y = y + bias.clone().unsqueeze();
        }
        let compute = self.weight.compute();
        let mut u = None;
        if let Some(lora) = lora {
            let low = product(x.clone(), lora.a.clone().transpose(), compute);
            y = add_product(y, low.clone(), lora.b.clone().transpose(), lora.scaling, compute);
            u = wants.factor_b.then_some(low);
        }
        let keep_x = wants.base || (wants.factor_a && lora.is_some());
        (y, LinearSaved { x: keep_x.then(|| x.clone()), u })
    }

    /// `dy` is `[rows, outputs]`; returns dx, added to `sum` if there is one, and the requested
    /// gradients.
    pub(crate) fn backward(
        &self,
        sum: Option<Tensor<2>>,
        dy: Tensor<2>,
        saved: &LinearSaved,
        lora: Option<&Lora>,
        wants: Wants,
    ) -> (Tensor<2>, LinearGradients) {
        let mut gradients = LinearGradients::default();
        let compute = self.weight.compute();
        let mut dx = self.weight.backward(sum, dy.clone());
        if let Some(lora) = lora {
            let du = product(dy.clone(), scaled(lora.b.clone(), lora.scaling), compute);
            if wants.factor_b
                && let Some(u) = &saved.u
            {
                let db = product(dy.clone().transpose(), u.clone(), compute);
                gradients.b = Some(db.mul_scalar(lora.scaling));
            }
            if wants.factor_a
                && let Some(x) = &saved.x
            {
                gradients.a = Some(product(du.clone().transpose(), x.clone(), compute));
            }
            dx = add_product(dx, du, lora.a.clone(), 1.0, compute);
        }
        if wants.base
            && let Some(x) = &saved.x
        {
            let d_weight = product(dy.clone().transpose(), x.clone(), ComputePrecision::F32);
            gradients.weight = Some(d_weight);
            gradients.bias = self.bias.as_ref().map(|_| dy.sum_dim(0).squeeze_dim::<1>(0));
        }
        (dx, gradients)
    }
}
