//! The generators of the shipped model and data, and measurements of training.
//!
//! * [`synth`] generates the corpus and the data of the demo: `examples/make_corpus.rs` writes
//!   them.
//! * [`BaseWeights`] holds a whole small model on the host, so that it can be changed and saved:
//!   `examples/pretrain` trains every parameter of it.
//! * [`copying_weights`] are weights to start from that copy what a text repeats.
//!
//! No installed program depends on this crate.

#![warn(unreachable_pub)]

mod copying;
pub mod synth;
mod weights;

pub use copying::copying_weights;
pub use weights::{BaseWeights, HostTensor, save_base};

use fedshield_train::model::TokenSequence;

/// A sequence in which every token after the first is predicted, as language-model pretraining
/// does.
pub fn all_labelled(ids: Vec<u32>) -> TokenSequence {
    let labels = vec![true; ids.len()];
    TokenSequence { ids, labels }
}
