//! RMSNorm: y = gamma * x / sqrt(mean(x^2) + eps), over the last dimension.

use burn_tensor::Tensor;

use super::kernels;

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
        let (y, inverse) = kernels::rms_norm(&x, &self.gamma, self.eps);
        (y, NormSaved { x, inverse })
    }

    /// The gradient of the input, and that of gamma if requested.
    pub(crate) fn backward(
        &self,
        dy: Tensor<2>,
        saved: &NormSaved,
        want_gamma: bool,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        let dx = kernels::rms_norm_backward(&dy, &saved.x, &saved.inverse, &self.gamma);
        let d_gamma = want_gamma.then(|| {
            let normed = saved.x.clone() * saved.inverse.clone();
            (dy * normed).sum_dim(0).squeeze_dim::<1>(0)
        });
        (dx, d_gamma)
    }
}
