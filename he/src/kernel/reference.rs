//! The reference: plain Rust, no assumption about the machine. Every other implementation gives the
//! same words.

mod block;
mod packing;
mod sampling;
mod transform;

pub(super) use block::{add_noise_and_truncate, extract_slot, quantise, recover_message};
pub(super) use packing::{pack, unpack_add};
pub(super) use sampling::{mask_words, sample_gaussian};
pub(super) use transform::{mul_pointwise, ntt_forward, ntt_inverse, shoup_quotients};
