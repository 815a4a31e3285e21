//! RMSNorm with its own backward pass: y = gamma * x / sqrt(mean(x^2) + eps), over the last dimension.

use burn::tensor::Tensor;

/// A frozen or trainable RMSNorm; `gamma` has the width of the last dimension.
#[derive(Clone)]
pub(crate) struct RmsNorm {
    pub(crate) gamma: Tensor<1>,
    pub(crate) eps: f64,
}

/// What the backward pass needs: the input and 1/rms of every row.
pub(crate) struct NormSaved {
    x: Tensor<2>,
    inverse: Tensor<2>,
}

impl RmsNorm {
    /// `x` is `[rows, width]`; returns the same shape.
    pub(crate) fn forward(&self, x: Tensor<2>) -> (Tensor<2>, NormSaved) {
        let mean_square = x.clone().square().mean_dim(1);
        let inverse = mean_square.add_scalar(self.eps).sqrt().recip();
        let y = x.clone() * inverse.clone() * self.gamma.clone().unsqueeze();
        (y, NormSaved { x, inverse })
    }

    /// dx = inv * (g - xhat * mean(g * xhat)) with g = dy * gamma and xhat = x * inv.
    /// The second value is the gradient of gamma, when asked for.
    pub(crate) fn backward(
        &self,
        dy: Tensor<2>,
        saved: &NormSaved,
        want_gamma: bool,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        let normed = saved.x.clone() * saved.inverse.clone();
        let d_gamma =
            want_gamma.then(|| (dy.clone() * normed.clone()).sum_dim(0).squeeze_dim::<1>(0));
        let g = dy * self.gamma.clone().unsqueeze();
        let mean = (g.clone() * normed.clone()).mean_dim(1);
        let dx = (g - normed * mean) * saved.inverse.clone();
        (dx, d_gamma)
    }
}
