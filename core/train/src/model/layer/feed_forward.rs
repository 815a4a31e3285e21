//! The feed-forward block of a layer: dense, or one of experts.

use burn_tensor::Tensor;

use super::{Backward, Forward, Layer};
use crate::model::experts::ExpertsSaved;
use crate::model::kernels;
use crate::model::lora::Projection;

/// Activations kept from the forward pass.
#[allow(clippy::large_enum_variant, reason = "a layer has one")]
pub(super) enum FeedForwardSaved<'a> {
    Dense { gate: Tensor<2>, up: Tensor<2> },
    Experts(ExpertsSaved<'a>),
}

impl Layer {
    pub(super) fn feed_forward(
        &self,
        pass: &mut Forward<'_>,
        x: &Tensor<2>,
    ) -> (Tensor<2>, FeedForwardSaved<'_>) {
        if let Some(experts) = &self.experts {
            let (y, saved) = experts.forward(x);
            return (y, FeedForwardSaved::Experts(saved));
        }
        let [gate, up] = self.gate_and_up(pass, x);
        let inner = kernels::gated(&gate, &up, self.activation);
        (pass.project(Projection::DownProj, &inner), FeedForwardSaved::Dense { gate, up })
    }

    pub(super) fn feed_forward_backward(
        &self,
        pass: &mut Backward<'_>,
        dy: Tensor<2>,
        saved: FeedForwardSaved<'_>,
    ) -> Tensor<2> {
        match saved {
            FeedForwardSaved::Experts(saved) => saved.backward(&dy),
            FeedForwardSaved::Dense { gate, up } => {
                let d_inner = pass.project(Projection::DownProj, dy);
                let (d_gate, d_up) = kernels::gated_backward(&d_inner, &gate, &up, self.activation);
                self.gate_and_up_backward(pass, d_gate, d_up)
            }
        }
    }

    fn gate_and_up(&self, pass: &mut Forward<'_>, x: &Tensor<2>) -> [Tensor<2>; 2] {
        if !self.fused() {
            return [Projection::GateProj, Projection::UpProj].map(|which| pass.project(which, x));
        }
        let both = pass.project(Projection::GateUpProj, x);
        let width = both.dims()[1] / 2;
        [0, width].map(|start| both.clone().narrow(1, start, width))
    }

    fn gate_and_up_backward(
        &self,
        pass: &mut Backward<'_>,
        d_gate: Tensor<2>,
        d_up: Tensor<2>,
    ) -> Tensor<2> {
        if self.fused() {
            return pass.project(Projection::GateUpProj, Tensor::cat(vec![d_gate, d_up], 1));
        }
        let sum = pass.project(Projection::GateProj, d_gate);
        pass.project_onto(Some(sum), Projection::UpProj, d_up)
    }
}
