//! The AVX2 path: the reference code, compiled once more for AVX2, BMI2 and ADX.
//!
//! The sampler, the encoding, the packing and the additions become 256-bit code; the transform stays
//! scalar but gains MULX. AVX2 has no 64-bit product, so butterflies by hand win nothing there.
//!
//! Safety: each function here calls a function that needs the CPU features named below, and takes a
//! [`Token`], which exists only where all of them were detected. Nothing else is unsafe: the code called
//! is the reference code, in safe Rust.

#![allow(unsafe_code, reason = "calls code compiled for CPU features that the token proves")]

use super::{plain, scalar, scalar_block};
use crate::decrypt::SlotRange;
use crate::encode::{Met, Quantiser};
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// Proof that this machine has the features of this path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(());

impl Token {
    pub(super) fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("adx");
        all.then_some(Self(()))
    }
}

/// Declares a function that runs the reference code under the features.
macro_rules! recompile {
    ($module:ident :: $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        pub(super) fn $name(_: Token, $($argument: $type),*) $(-> $result)? {
            #[target_feature(enable = "avx2,bmi2,adx")]
            fn inner($($argument: $type),*) $(-> $result)? {
                $module::$name($($argument),*)
            }
            // SAFETY: the token proves the features.
            unsafe { inner($($argument),*) }
        }
    };
}

recompile!(scalar::ntt_forward(poly: &mut [u64], twiddles: &Twiddles, q: u64));
recompile!(scalar::ntt_inverse(poly: &mut [u64], twiddles: &Twiddles, q: u64));
recompile!(scalar::mul_pointwise(poly: &mut [u64], multiplier: &Multiplier, q: u64));
recompile!(scalar::gaussian(words: &mut [u64], table: &[u64]));
recompile!(scalar::pack(words: &[u64], bits: u32, out: &mut [u8]));
recompile!(scalar::unpack_add(packed: &[u8], bits: u32, sum: &mut [u64]) -> u64);
recompile!(scalar_block::encode(
    values: &[f32],
    rounding: &[u16],
    quantiser: &Quantiser,
    shift: u32,
    out: &mut [u64]
) -> Met);
recompile!(scalar_block::seal_words(
    products: &mut [u64],
    errors: &[u64],
    messages: &[u64],
    shifts: [u32; 2],
    q: u64
));
recompile!(scalar_block::open_words(
    sums: &mut [u64],
    products: &[u64],
    opening: &BlockOpening
) -> u64);
recompile!(plain::quotients(values: &mut [u64], q: u64));
recompile!(plain::cut(words: &mut [u64], mask: u64, modulus: u64) -> bool);
recompile!(plain::take_slots(
    messages: &[u64],
    range: &SlotRange,
    out: &mut [i64],
    canonical: &mut [i32]
) -> u64);
