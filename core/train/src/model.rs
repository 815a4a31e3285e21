//! The decoder: configuration, weights, forward and backward passes.
//!
//! The backward pass is written by hand rather than recorded by autodiff: nothing is computed for a
//! frozen weight, what is kept between the passes is decided in one place, and the same code runs
//! on every Burn device. Tests check it against transformers + PEFT (`tests/parity.rs`) and against
//! finite differences (`tools/tests/base_gradients.rs`).

mod attention;
#[cfg(feature = "base-gradients")]
mod base_gradients;
mod batch;
mod config;
mod decoder;
mod experts;
mod frozen;
mod kernels;
mod layer;
mod linear;
mod lora;
mod loss;
mod norm;
mod pass;
mod past;
mod product;
mod reader;
mod rope;
mod transfer;
mod weights;

#[cfg(feature = "base-gradients")]
pub use base_gradients::BaseGradients;
pub use batch::{Batch, TokenSequence};
pub use config::{
    Activation, ExpertShape, Family, ModelConfig, NormPlaces, QkNorm, Rope, RopeScaling,
};
pub use decoder::{Decoder, StageSeconds};
pub use frozen::{BasePrecision, Unfit};
pub use lora::Projection;
pub use product::ComputePrecision;
pub use transfer::Transfers;
pub use weights::{TensorSource, parameter_shapes};

pub(crate) use config::COMMAND_TRAINER;
pub(crate) use layer::LayerGradients;
pub(crate) use linear::Wants;
pub(crate) use lora::{Lora, LoraLayers};
pub(crate) use loss::LossSum;
pub(crate) use past::Past;
pub(crate) use product::product;
pub(crate) use transfer::{is_host, to_vec, upload};
pub(crate) use weights::{layer_name, router_name};
