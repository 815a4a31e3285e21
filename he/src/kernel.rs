//! The inner loops of a block, and the choice of the path that runs them.
//!
//! The scalar path is the reference. The vector paths compute the same words, bit for bit; every test
//! of the ring, the sampler, the encoding and the packing runs over all paths that this machine has.

mod plain;
mod scalar;
mod scalar_block;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_block;
#[cfg(target_arch = "x86_64")]
mod avx512_ntt;

use crate::decrypt::SlotRange;
use crate::encode::{Met, Quantiser};
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// One way to run the inner loops on this machine. There is no way to make one that the machine
/// cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Path);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Token),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Token),
}

/// Calls one function of the chosen path.
macro_rules! run {
    ($self:ident, $scalar:ident, $avx512:ident, $name:ident($($argument:expr),*)) => {
        match $self.0 {
            Path::Scalar => $scalar::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(token) => avx2::$name(token, $($argument),*),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(token) => $avx512::$name(token, $($argument),*),
        }
    };
}

impl Kernel {
    /// The reference path, which runs everywhere.
    pub const SCALAR: Self = Self(Path::Scalar);

    /// The fastest path this machine has.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::SCALAR)
    }

    /// All paths that this machine has, the reference first, the fastest last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "elsewhere than on x86-64")]
        let mut paths = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(avx2::Token::new().map(|token| Self(Path::Avx2(token))));
            paths.extend(avx512::Token::new().map(|token| Self(Path::Avx512(token))));
        }
        paths
    }

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Path::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }

    /// Forward transform: input below 4q, output below q.
    pub(crate) fn ntt_forward(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        run!(self, scalar, avx512_ntt, ntt_forward(poly, twiddles, q));
    }

    /// Inverse transform without the factor 1/N: input and output below 2q.
    pub(crate) fn ntt_inverse(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        run!(self, scalar, avx512_ntt, ntt_inverse(poly, twiddles, q));
    }

    /// Pointwise product with a prepared multiplier; input below q, output below 2q.
    pub(crate) fn mul_pointwise(self, poly: &mut [u64], multiplier: &Multiplier, q: u64) {
        run!(self, scalar, avx512_ntt, mul_pointwise(poly, multiplier, q));
    }

    /// Turns random words into magnitudes with signs: see `gaussian`. In place: each word is replaced
    /// by the sample as a two's complement number. At most 63 entries, ascending.
    pub(crate) fn gaussian(self, words: &mut [u64], table: &[u64]) {
        run!(self, scalar, avx512, gaussian(words, table));
    }

    /// Packs rows of eight words of `bits` bits, one bit stream per lane: see `pack`.
    pub(crate) fn pack(self, words: &[u64], bits: u32, out: &mut [u8]) {
        run!(self, scalar, avx512_block, pack(words, bits, out));
    }

    /// Adds packed words to `sum`; returns the largest word that was added.
    pub(crate) fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
        run!(self, scalar, avx512_block, unpack_add(packed, bits, sum))
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
        run!(self, scalar_block, avx512_block, encode(values, rounding, quantiser, shift, out))
    }

    /// Product (below 2q) + error + message * 2^scale, reduced, without its low bits; in place.
    pub(crate) fn seal_words(
        self,
        products: &mut [u64],
        errors: &[u64],
        messages: &[u64],
        shifts: [u32; 2],
        q: u64,
    ) {
        run!(self, scalar_block, avx512_block, seal_words(products, errors, messages, shifts, q));
    }

    /// Sums of wire words to messages, in place; returns twice the largest residual: see `open`.
    pub(crate) fn open_words(
        self,
        sums: &mut [u64],
        products: &[u64],
        opening: &BlockOpening,
    ) -> u64 {
        run!(self, scalar_block, avx512_block, open_words(sums, products, opening))
    }

    /// Shoup quotients of secrets, in place, in constant time.
    pub(crate) fn quotients(self, values: &mut [u64], q: u64) {
        run!(self, plain, avx512_block, quotients(values, q));
    }

    /// Cuts words to a mask; true when a cut word is `modulus` or more.
    pub(crate) fn cut(self, words: &mut [u64], mask: u64, modulus: u64) -> bool {
        run!(self, plain, avx512_block, cut(words, mask, modulus))
    }

    /// Takes one slot out of every message: see `decrypt`. Returns how many lie outside the range.
    pub(crate) fn take_slots(
        self,
        messages: &[u64],
        range: &SlotRange,
        out: &mut [i64],
        canonical: &mut [i32],
    ) -> u64 {
        run!(self, plain, avx512_block, take_slots(messages, range, out, canonical))
    }
}
