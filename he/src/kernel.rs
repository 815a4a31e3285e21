//! The inner loops of a block, and the choice of the path that runs them.
//!
//! The scalar path is the reference. The vector paths compute the same words, bit for bit; every test
//! of the ring, the sampler, the encoding and the packing runs over all paths that this machine has.

mod scalar;
mod scalar_block;

use crate::encode::{Met, Quantiser};
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// One way to run the inner loops on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Path);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Scalar,
}

impl Kernel {
    /// The reference path, which runs everywhere.
    pub const SCALAR: Self = Self(Path::Scalar);

    /// The fastest path this machine has.
    pub fn best() -> Self {
        Self::SCALAR
    }

    /// All paths that this machine has, the reference first.
    pub fn available() -> Vec<Self> {
        vec![Self::SCALAR]
    }

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Path::Scalar => "scalar",
        }
    }

    /// Forward transform: input below 4q, output below q.
    pub(crate) fn ntt_forward(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        match self.0 {
            Path::Scalar => scalar::ntt_forward(poly, twiddles, q),
        }
    }

    /// Inverse transform without the factor 1/N: input and output below 2q.
    pub(crate) fn ntt_inverse(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        match self.0 {
            Path::Scalar => scalar::ntt_inverse(poly, twiddles, q),
        }
    }

    /// Pointwise product with a prepared multiplier; output below 2q.
    pub(crate) fn mul_pointwise(self, poly: &mut [u64], multiplier: &Multiplier, q: u64) {
        match self.0 {
            Path::Scalar => scalar::mul_pointwise(poly, multiplier, q),
        }
    }

    /// Turns random words into magnitudes with signs: see `gaussian`. In place: each word is replaced
    /// by the sample as a two's complement number.
    pub(crate) fn gaussian(self, words: &mut [u64], table: &[u64]) {
        match self.0 {
            Path::Scalar => scalar::gaussian(words, table),
        }
    }

    /// Packs rows of eight words of `bits` bits, one bit stream per lane: see `pack`.
    pub(crate) fn pack(self, words: &[u64], bits: u32, out: &mut [u8]) {
        match self.0 {
            Path::Scalar => scalar::pack(words, bits, out),
        }
    }

    /// Adds packed words to `sum`; returns the largest word that was added.
    pub(crate) fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
        match self.0 {
            Path::Scalar => scalar::unpack_add(packed, bits, sum),
        }
    }

    /// Quantises values and ors them into the words of `out`, shifted: see `encode`.
    pub(crate) fn encode(
        self,
        values: &[f32],
        rounding: &[u16],
        quantiser: &Quantiser,
        shift: u32,
        out: &mut [u64],
    ) -> Met {
        match self.0 {
            Path::Scalar => scalar_block::encode(values, rounding, quantiser, shift, out),
        }
    }

    /// Product (below 2q) + error + message * 2^scale, reduced, without its low bits; in place.
    pub(crate) fn seal_words(
        self,
        products: &mut [u64],
        errors: &[u64],
        messages: &[u64],
        [scale_bits, dropped_bits]: [u32; 2],
        q: u64,
    ) {
        match self.0 {
            Path::Scalar => {
                scalar_block::seal_words(products, errors, messages, scale_bits, dropped_bits, q);
            }
        }
    }

    /// Sums of wire words to messages, in place; returns twice the largest residual: see `open`.
    pub(crate) fn open_words(
        self,
        sums: &mut [u64],
        products: &[u64],
        opening: &BlockOpening,
    ) -> u64 {
        match self.0 {
            Path::Scalar => scalar_block::open_words(sums, products, opening),
        }
    }
}
