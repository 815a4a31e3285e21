//! The inner loops of a block, and the choice of the implementation that runs them.
//!
//! `reference` is plain Rust. The vector implementations compute the same words, bit for bit; every
//! test of the ring, the sampler, the encoding and the packing runs over all that this machine has.

/// Methods of [`BlockKernel`] that run the reference code, compiled once more for some CPU
/// features.
#[cfg(target_arch = "x86_64")]
macro_rules! recompile {
    ($features:literal: $(
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;
    )*) => { $(
        fn $name(self, $($argument: $type),*) $(-> $result)? {
            #[target_feature(enable = $features)]
            fn inner($($argument: $type),*) $(-> $result)? {
                $crate::kernel::reference::$name($($argument),*)
            }
            // SAFETY: `self` exists only where the features were detected.
            unsafe { inner($($argument),*) }
        }
    )* };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod reference;
mod scalar;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
use scalar::Scalar;

use crate::decrypt::SlotRange;
use crate::encode::{Quantised, Quantiser};
use crate::encrypt::BlockEncryption;
use crate::open::BlockOpening;
use crate::ring::{Multiplier, Twiddles};

/// The inner loops of a block. All slices of one call have the same length unless a method says
/// otherwise; a row is eight words.
pub(crate) trait BlockKernel: Copy {
    /// Forward transform: input below 4q, output below q.
    fn ntt_forward(self, poly: &mut [u64], twiddles: &Twiddles, q: u64);

    /// Inverse transform without the factor 1/N: input and output below 2q.
    fn ntt_inverse(self, poly: &mut [u64], twiddles: &Twiddles, q: u64);

    /// Pointwise product with a prepared multiplier: input below q, output below 2q.
    fn mul_pointwise(self, poly: &mut [u64], multiplier: &Multiplier, q: u64);

    /// Shoup quotients of secrets, in place, in constant time.
    fn shoup_quotients(self, values: &mut [u64], q: u64);

    /// Random words to errors or key coefficients, in place, as two's complement numbers: see
    /// `gaussian`. The table has at most 63 entries, ascending.
    fn sample_gaussian(self, words: &mut [u64], table: &[u64]);

    /// Keeps the bits of `mask`; true when a word is then `modulus` or more.
    fn mask_words(self, words: &mut [u64], mask: u64, modulus: u64) -> bool;

    /// Packs rows of eight words of `bits` bits, one bit stream per lane: see `pack`.
    fn pack(self, words: &[u64], bits: u32, out: &mut [u8]);

    /// Adds packed words to `sum`; returns the largest word that was added.
    fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64;

    /// Quantises values and ors their slots, shifted, into the words of `out`: see `encode`.
    fn quantise(
        self,
        values: &[f32],
        rounding: &[u16],
        quantiser: &Quantiser,
        shift: u32,
        out: &mut [u64],
    ) -> Quantised;

    /// Product (below 2q) + error + message * 2^s, reduced, without its lowest l bits; overwrites
    /// the product.
    fn add_noise_and_truncate(
        self,
        products: &mut [u64],
        errors: &[u64],
        messages: &[u64],
        encryption: &BlockEncryption,
    );

    /// Sums of wire words to messages, in place; returns twice the largest residual: see `open`.
    fn recover_message(self, sums: &mut [u64], products: &[u64], opening: &BlockOpening) -> u64;

    /// Takes one slot out of every message, in 64 and in 32 bits: see `decrypt`. Returns how many
    /// lie outside the range.
    fn extract_slot(
        self,
        messages: &[u64],
        range: &SlotRange,
        out: &mut [i64],
        canonical: &mut [i32],
    ) -> u64;
}

/// An implementation that this machine can run; no other can be constructed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "benches")),
    allow(unreachable_pub, reason = "measurements choose one")
)]
pub struct Kernel(Path);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Kernel {
    /// The reference, which runs everywhere.
    pub(crate) const SCALAR: Self = Self(Path::Scalar(Scalar));

    /// The fastest implementation that this machine has.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(kernel) = Avx512::new() {
                return Self(Path::Avx512(kernel));
            }
            if let Some(kernel) = Avx2::new() {
                return Self(Path::Avx2(kernel));
            }
        }
        Self::SCALAR
    }
}

#[cfg(any(test, feature = "benches"))]
impl Kernel {
    /// All implementations that this machine has, the reference first, the fastest last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "elsewhere than on x86-64")]
        let mut kernels = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(Avx2::new().map(|kernel| Self(Path::Avx2(kernel))));
            kernels.extend(Avx512::new().map(|kernel| Self(Path::Avx512(kernel))));
        }
        kernels
    }

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Path::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }
}

/// Calls a method of the selected implementation; each arm is a static call.
macro_rules! dispatch {
    ($self:ident.$name:ident($($argument:ident),*)) => {
        match $self.0 {
            Path::Scalar(kernel) => kernel.$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(kernel) => kernel.$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(kernel) => kernel.$name($($argument),*),
        }
    };
}

impl BlockKernel for Kernel {
    fn ntt_forward(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        dispatch!(self.ntt_forward(poly, twiddles, q));
    }

    fn ntt_inverse(self, poly: &mut [u64], twiddles: &Twiddles, q: u64) {
        dispatch!(self.ntt_inverse(poly, twiddles, q));
    }

    fn mul_pointwise(self, poly: &mut [u64], multiplier: &Multiplier, q: u64) {
        dispatch!(self.mul_pointwise(poly, multiplier, q));
    }

    fn shoup_quotients(self, values: &mut [u64], q: u64) {
        dispatch!(self.shoup_quotients(values, q));
    }

    fn sample_gaussian(self, words: &mut [u64], table: &[u64]) {
        dispatch!(self.sample_gaussian(words, table));
    }

    fn mask_words(self, words: &mut [u64], mask: u64, modulus: u64) -> bool {
        dispatch!(self.mask_words(words, mask, modulus))
    }

    fn pack(self, words: &[u64], bits: u32, out: &mut [u8]) {
        dispatch!(self.pack(words, bits, out));
    }

    fn unpack_add(self, packed: &[u8], bits: u32, sum: &mut [u64]) -> u64 {
        dispatch!(self.unpack_add(packed, bits, sum))
    }

    fn quantise(
        self,
        values: &[f32],
        rounding: &[u16],
        quantiser: &Quantiser,
        shift: u32,
        out: &mut [u64],
    ) -> Quantised {
        dispatch!(self.quantise(values, rounding, quantiser, shift, out))
    }

    fn add_noise_and_truncate(
        self,
        products: &mut [u64],
        errors: &[u64],
        messages: &[u64],
        encryption: &BlockEncryption,
    ) {
        dispatch!(self.add_noise_and_truncate(products, errors, messages, encryption));
    }

    fn recover_message(self, sums: &mut [u64], products: &[u64], opening: &BlockOpening) -> u64 {
        dispatch!(self.recover_message(sums, products, opening))
    }

    fn extract_slot(
        self,
        messages: &[u64],
        range: &SlotRange,
        out: &mut [i64],
        canonical: &mut [i32],
    ) -> u64 {
        dispatch!(self.extract_slot(messages, range, out, canonical))
    }
}
