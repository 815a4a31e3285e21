//! Named parameter sets and the bounds that make the sum exact and the key hidden.
//!
//! Source: `docs/CRYPTO.md`, sections "Parameters" and "Noise budget".

use std::fmt;

mod bounds;
mod table;

pub use bounds::PresetError;
#[cfg(test)]
pub(crate) use table::presets;

/// Variance of an error coefficient (sigma = 6.4), times 100, to stay in integers. That of a key
/// coefficient is half of it (sigma = 3.2 * sqrt(2)).
pub(crate) const ERROR_VARIANCE_X100: u64 = 4096;
/// No sampled key coefficient is larger than this in absolute value (9.2 standard deviations).
pub(crate) const KEY_BOUND: u32 = 42;
/// No sampled error coefficient is larger than this in absolute value (9.2 standard deviations).
#[cfg(test)]
pub(crate) const ERROR_BOUND: u32 = 59;
/// The sum of n errors stays below this many standard deviations, except with probability 2^-86 per
/// coefficient.
pub(crate) const ERROR_DEVIATIONS: u64 = 11;
/// The field of the key shares: the largest prime below 2^16.
pub(crate) const SHARE_MODULUS: u32 = 65_521;
/// Largest number of members whose summed key still fits the share field with its sign.
pub(crate) const MAX_MEMBERS: u16 = 700;
/// The ring degree of every preset that is meant to be used.
pub(crate) const RING_DEGREE: usize = 4096;

/// One parameter set of `rlwe-sum`, with the security that the lattice estimator (Albrecht, Player
/// and Scott, ePrint 2015/046) gives it in docs/CRYPTO.md. Built only by the table of this crate,
/// through the constructor that checks every bound, so every `Preset` is sound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    name: &'static str,
    insecure: bool,
    value_bits: u32,
    members: u16,
    ring_degree: usize,
    slots: usize,
    modulus: u64,
    scale_bits: u32,
    dropped_bits: u32,
}

impl Preset {
    /// The smallest preset for values of `value_bits` bits and up to `members` members.
    ///
    /// # Errors
    /// [`PresetError`] names what no preset can hold, and what would fit.
    pub fn for_federation(value_bits: u32, members: u16) -> Result<&'static Self, PresetError> {
        table::choose(value_bits, members)
    }

    /// The preset with this name. The INSECURE ones are available by name only.
    ///
    /// # Errors
    /// [`PresetError::UnknownName`] with the names there are.
    pub fn by_name(name: &str) -> Result<&'static Self, PresetError> {
        table::by_name(name)
    }

    /// Refuses a federation that this preset cannot hold.
    ///
    /// # Errors
    /// Names the bound that broke and the preset that would fit.
    pub fn check_members(&self, members: u16) -> Result<(), PresetError> {
        bounds::check_members(self, members)
    }

    /// Stable name, as used in the manifest, for example `rlwe-sum/b16/n16`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// True for the small presets that exist for tests and protect nothing.
    pub const fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Bits of one quantised value, including the sign.
    pub const fn value_bits(&self) -> u32 {
        self.value_bits
    }

    /// Largest number of members, hence of contributors to one sum.
    pub const fn members(&self) -> u16 {
        self.members
    }

    /// Coefficients in one block, N.
    pub const fn ring_degree(&self) -> usize {
        self.ring_degree
    }

    /// Slots packed into one coefficient, S.
    pub const fn slots_per_coefficient(&self) -> usize {
        self.slots
    }

    /// Slots in one full block, S * N.
    pub const fn slots_per_block(&self) -> usize {
        self.slots * self.ring_degree
    }

    /// Bits of one slot: enough for the sum of all members' values.
    pub const fn slot_bits(&self) -> u32 {
        self.value_bits + ceil_log2(self.members)
    }

    /// The prime modulus of the ring.
    pub const fn modulus(&self) -> u64 {
        self.modulus
    }

    /// Bits of the modulus.
    pub const fn modulus_bits(&self) -> u32 {
        64 - self.modulus.leading_zeros()
    }

    /// The message is multiplied by two to this power, so that the error stays below it.
    pub const fn scale_bits(&self) -> u32 {
        self.scale_bits
    }

    /// Low bits of each coefficient that are not sent.
    pub const fn dropped_bits(&self) -> u32 {
        self.dropped_bits
    }

    /// Bits of one coefficient of a ciphertext on the wire.
    pub const fn wire_bits(&self) -> u32 {
        self.modulus_bits() - self.dropped_bits
    }

    /// Bits of one coefficient of an aggregate on the wire.
    pub const fn aggregate_bits(&self) -> u32 {
        self.wire_bits() + ceil_log2(self.members)
    }

    /// What a quantised value is clamped to: it lies in `-limit..=limit`.
    pub const fn value_limit(&self) -> i64 {
        (1 << (self.value_bits - 1)) - 1
    }

    /// What is added to a quantised value to make it a slot: 2^(b-1).
    pub const fn value_offset(&self) -> i64 {
        1 << (self.value_bits - 1)
    }

    /// Largest error of the sum of `contributors` encryptions that is still accepted, rounded up.
    /// 11 * sigma_e * sqrt(contributors); a coefficient exceeds it with probability below 2^-86.
    pub const fn error_bound(contributors: u16) -> u64 {
        let squared = ERROR_DEVIATIONS * ERROR_DEVIATIONS * ERROR_VARIANCE_X100;
        (squared * contributors as u64).isqrt() / 10 + 1
    }

    /// Twice the largest residual of an opened sum: error and truncation, centred.
    pub const fn residual_bound_x2(&self, contributors: u16) -> u64 {
        2 * Self::error_bound(contributors)
            + contributors as u64 * ((1 << self.dropped_bits) - 1)
            + 1
    }

    /// Largest absolute coefficient of a summed key.
    pub const fn key_bound(contributors: u16) -> u32 {
        KEY_BOUND * contributors as u32
    }
}

impl fmt::Debug for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preset({})", self.name)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Smallest e with 2^e >= x, for x >= 1.
const fn ceil_log2(x: u16) -> u32 {
    u16::BITS - (x - 1).leading_zeros()
}
