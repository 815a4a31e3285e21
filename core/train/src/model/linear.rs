//! A projection with an optional adapter, and its hand-written backward pass.
//!
//! Forward: y = x W^T + bias + s (x A^T) B^T. Backward, only the parts asked for:
//! dB = s dy^T u with u = x A^T; du = s dy B; dA = du^T x; dx = dy W + du A; dW = dy^T x.

use burn::tensor::Tensor;

use super::kernels;
use super::lora::Lora;

/// A base projection; `weight` is `[outputs, inputs]` as in the model files.
#[derive(Clone)]
pub(crate) struct Linear {
    pub(crate) weight: Tensor<2>,
    pub(crate) bias: Option<Tensor<1>>,
}

/// Which gradients the backward pass should produce.
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
    pub(crate) x: Option<Tensor<2>>,
    /// u = x A^T.
    pub(crate) u: Option<Tensor<2>>,
}

/// Gradients of one projection's parameters; `None` where not asked for.
#[derive(Default)]
pub(crate) struct LinearGradients {
    pub(crate) weight: Option<Tensor<2>>,
    pub(crate) bias: Option<Tensor<1>>,
    pub(crate) a: Option<Tensor<2>>,
    pub(crate) b: Option<Tensor<2>>,
}

/// Projections of one input, each with its adapter.
pub(crate) type Group<'a> = [(&'a Linear, Option<&'a Lora>)];

/// Results of all projections of `x`, `[rows, inputs]`; `add` is added to that of a single one.
pub(crate) fn forward(
    group: &Group<'_>,
    x: &Tensor<2>,
    add: Option<&Tensor<2>>,
    wants: Wants,
) -> Vec<(Tensor<2>, LinearSaved)> {
    if let Some(results) = kernels::project(group, x, add, wants) {
        return results;
    }
    let one = |(linear, lora): &(&Linear, Option<&Lora>)| {
        let (y, saved) = linear.forward(x, *lora, wants);
        match add {
            Some(add) => (y + add.clone(), saved),
            None => (y, saved),
        }
    };
    group.iter().map(one).collect()
}

/// The gradient of the common input from those of the results, and the gradients asked for.
pub(crate) fn backward(
    group: &Group<'_>,
    dys: Vec<Tensor<2>>,
    saved: &[LinearSaved],
    wants: Wants,
) -> (Tensor<2>, Vec<LinearGradients>) {
    let device = dys[0].device();
    if let Some(results) = kernels::project_backward(group, &dys, saved, wants) {
        dys.into_iter().for_each(kernels::recycle);
        return results;
    }
    let mut sum: Option<Tensor<2>> = None;
    let mut all = Vec::with_capacity(group.len());
    for (((linear, lora), dy), saved) in group.iter().zip(dys).zip(saved) {
        let (dx, gradients) = linear.backward(dy, saved, *lora, wants);
        sum = Some(match sum {
            None => dx,
            Some(sum) => sum + dx,
        });
        all.push(gradients);
    }
    (sum.unwrap_or_else(|| Tensor::empty([0, 0], &device)), all)
}

impl Linear {
    /// `x` is `[rows, inputs]`; returns `[rows, outputs]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor<2>,
        lora: Option<&Lora>,
        wants: Wants,
    ) -> (Tensor<2>, LinearSaved) {
        let mut y = x.clone().matmul(self.weight.clone().transpose());
        if let Some(bias) = &self.bias {
            y = y + bias.clone().unsqueeze();
        }
        let mut u = None;
        if let Some(lora) = lora {
            let low = x.clone().matmul(lora.a.clone().transpose());
            let scaled_b = lora.b.clone().transpose().mul_scalar(lora.scaling);
            y = y + low.clone().matmul(scaled_b);
            u = wants.factor_b.then_some(low);
        }
        let keep_x = wants.base || (wants.factor_a && lora.is_some());
        (y, LinearSaved { x: keep_x.then(|| x.clone()), u })
    }

    /// `dy` is `[rows, outputs]`; returns dx and the gradients asked for.
    pub(crate) fn backward(
        &self,
        dy: Tensor<2>,
        saved: &LinearSaved,
        lora: Option<&Lora>,
        wants: Wants,
    ) -> (Tensor<2>, LinearGradients) {
        let mut gradients = LinearGradients::default();
        let mut dx = dy.clone().matmul(self.weight.clone());
        if let Some(lora) = lora {
            let du = dy.clone().matmul(lora.b.clone().mul_scalar(lora.scaling));
            if wants.factor_b
                && let Some(u) = &saved.u
            {
                let db = dy.clone().transpose().matmul(u.clone());
                gradients.b = Some(db.mul_scalar(lora.scaling));
            }
            if wants.factor_a
                && let Some(x) = &saved.x
            {
                gradients.a = Some(du.clone().transpose().matmul(x.clone()));
            }
            dx = dx + du.matmul(lora.a.clone());
        }
        if wants.base
            && let Some(x) = &saved.x
        {
            gradients.weight = Some(dy.clone().transpose().matmul(x.clone()));
            gradients.bias = self.bias.as_ref().map(|_| dy.sum_dim(0).squeeze_dim::<1>(0));
        }
        (dx, gradients)
    }
}
