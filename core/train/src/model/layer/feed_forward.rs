//! The feed-forward block of a layer: dense, or one of experts.

use burn_tensor::Tensor;

use super::LayerGradients;
use super::projections::{Joint, JointSaved, LayerAdapters, Placed, PlacedSaved};
use crate::model::config::Activation;
use crate::model::experts::{Experts, ExpertsSaved};
use crate::model::kernels;
use crate::model::linear::Wants;

/// The feed-forward block.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a layer has one")]
pub(super) enum FeedForward {
    /// down(activation(gate(x)) * up(x)).
    Dense {
        gate_and_up: Joint<1>,
        down: Placed,
        activation: Activation,
    },
    Experts(Experts),
}

/// Activations kept from the forward pass.
#[allow(clippy::large_enum_variant, reason = "a layer has one")]
pub(super) enum FeedForwardSaved<'a> {
    Dense {
        gate: Tensor<2>,
        up: Tensor<2>,
        activation: Activation,
        gate_and_up: JointSaved<'a, 1>,
        down: PlacedSaved<'a>,
    },
    Experts(ExpertsSaved<'a>),
}

impl FeedForward {
    pub(super) fn forward<'a>(
        &'a self,
        x: &Tensor<2>,
        adapters: &'a LayerAdapters,
        wants: Wants,
    ) -> (Tensor<2>, FeedForwardSaved<'a>) {
        match self {
            Self::Experts(experts) => {
                let (y, saved) = experts.forward(x);
                (y, FeedForwardSaved::Experts(saved))
            }
            Self::Dense { gate_and_up, down, activation } => {
                let activation = *activation;
                let ((gate, [up]), gate_and_up) = gate_and_up.forward(x, adapters, wants);
                let inner = kernels::gated(&gate, &up, activation);
                let (y, down) = down.forward(&inner, adapters, wants);
                (y, FeedForwardSaved::Dense { gate, up, activation, gate_and_up, down })
            }
        }
    }
}

impl FeedForwardSaved<'_> {
    /// `dy` is the gradient of the block's output; returns that of its input.
    pub(super) fn backward(self, dy: Tensor<2>, gradients: &mut LayerGradients) -> Tensor<2> {
        match self {
            Self::Experts(saved) => saved.backward(&dy),
            Self::Dense { gate, up, activation, gate_and_up, down } => {
                let d_inner = down.backward(None, dy, gradients);
                let (d_gate, d_up) = kernels::gated_backward(&d_inner, &gate, &up, activation);
                gate_and_up.backward((d_gate, [d_up]), gradients)
            }
        }
    }
}
