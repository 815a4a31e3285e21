//! encode: clipped values to slots, with stochastic rounding.
//!
//! With `scale` the common scale times the contributor's weight, a value x becomes
//! `floor(x * scale + (r + 1/2) / 2^16 + 2^(b-1))` in f64, where r is a uniform 16-bit word,
//! clamped to 1 ..= 2^b - 1. Subtracting 2^(b-1) gives the quantised value in
//! -(2^(b-1) - 1) ..= 2^(b-1) - 1. Its expectation is x * scale up to 2^-17.

use crate::error::Error;
use crate::kernel::{BlockKernel, Kernel};
use crate::layout::{Layout, NONCE_LIMBS};
use crate::measurement::limbs;
use crate::params::Preset;

/// What one contributor puts into the sum.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    /// Clipped, finite values; how many is part of what all contributors agree on.
    pub values: &'a [f32],
    /// Quanta per unit: a value is quantised to `scale * value`. The common scale of the round
    /// times the weight of this contributor, which is public and not sent.
    pub scale: f64,
    /// 256 fresh random bits for the beacon.
    pub nonce: &'a [u8; 32],
    /// A number that counts once, whatever the weight; `None` if this contributor has none, and in
    /// rounds whose updates carry none.
    pub measurement: Option<u16>,
}

impl std::fmt::Debug for Update<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Update").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

/// The constants of one encoding.
#[derive(Clone, Copy)]
pub(crate) struct Quantiser {
    /// Quanta per unit.
    pub(crate) factor: f64,
    /// 2^(b-1).
    pub(crate) offset: f64,
    /// 2^b: a slot lies in 1 .. top.
    pub(crate) top: f64,
}

impl Quantiser {
    fn new(preset: &Preset, update: &Update<'_>) -> Result<Self, Error> {
        let factor = update.scale;
        if !factor.is_finite() || factor < 0.0 {
            return Err(Error::argument("scale", "not a number of quanta per unit"));
        }
        let offset = preset.value_offset() as f64;
        Ok(Self { factor, offset, top: 2.0 * offset })
    }

    /// The slot of one value, before and after clamping.
    #[inline(always)]
    pub(crate) fn slot(&self, value: f32, rounding: u16) -> (u64, bool) {
        let dither = (f64::from(rounding) + 0.5) * (1.0 / 65536.0);
        let exact = f64::from(value) * self.factor + dither + self.offset;
        let clamped = exact < 1.0 || exact >= self.top;
        let inside = exact.max(1.0).min(self.top - 1.0);
        // Adding 2^52 rounds to an integer, which is then in the lowest bits of the sum; the floor
        // follows from it. Unlike Rust's conversion, this has no special cases and is vectorised.
        let shifted = inside + TWO_TO_52;
        let above = u64::from(shifted - TWO_TO_52 > inside);
        ((shifted.to_bits() & LOW_BITS) - above, clamped)
    }
}

/// Encodes an update block by block.
pub(crate) struct Encoder<'a> {
    preset: &'static Preset,
    layout: Layout,
    update: Update<'a>,
    quantiser: Quantiser,
}

const TWO_TO_52: f64 = (1u64 << 52) as f64;
const LOW_BITS: u64 = (1 << 52) - 1;

/// What quantising one run of values found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Quantised {
    /// Values that were clamped.
    pub(crate) clamped: u64,
    /// True when a value was not finite.
    pub(crate) not_finite: bool,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(
        preset: &'static Preset,
        layout: Layout,
        update: Update<'a>,
    ) -> Result<Self, Error> {
        Ok(Self { preset, layout, update, quantiser: Quantiser::new(preset, &update)? })
    }

    /// Writes the packed messages of a block to `out` (N words, without the scale), using one
    /// rounding word per slot. Returns how many values were clamped.
    pub(crate) fn block(
        &self,
        kernel: Kernel,
        block: u64,
        rounding: &[u16],
        out: &mut [u64],
    ) -> Result<u64, Error> {
        out.fill(0);
        let count = self.layout.coefficients(block);
        let width = self.preset.slot_bits();
        let mut clamped = 0;
        let rounding = rounding.chunks_exact(count);
        for (s, rounding) in (0..self.preset.slots_per_coefficient()).zip(rounding) {
            let first = self.layout.base(block) + (s * count) as u64;
            let shift = width * s as u32;
            let values = self.values_from(first, count);
            let here = &mut out[..values.len()];
            let found = kernel.quantise(values, rounding, &self.quantiser, shift, here);
            if found.not_finite {
                let at = values.iter().position(|v| !v.is_finite()).unwrap_or(0);
                return Err(Error::NotFinite { index: first + at as u64 });
            }
            clamped += found.clamped;
            for (i, word) in out[..count].iter_mut().enumerate().skip(values.len()) {
                *word |= self.limb(first + i as u64) << shift;
            }
        }
        Ok(clamped)
    }

    /// The values among the `count` slots from `first` on; values precede limbs.
    fn values_from(&self, first: u64, count: usize) -> &'a [f32] {
        let total = self.update.values.len();
        let start = usize::try_from(first).unwrap_or(total).min(total);
        &self.update.values[start..total.min(start + count)]
    }

    /// The content of a slot after the values: a byte of the nonce or of the measurement, or zero.
    fn limb(&self, slot: u64) -> u64 {
        let index = (slot - self.layout.value_count()) as usize;
        let limb = match index.checked_sub(NONCE_LIMBS) {
            None => self.update.nonce[index],
            Some(index) if NONCE_LIMBS + index < self.layout.limbs() => {
                limbs(self.update.measurement)[index]
            }
            Some(_) => 0,
        };
        u64::from(limb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_unbiased_and_clamping_is_counted() {
        let q = Quantiser { factor: 1024.0, offset: 32768.0, top: 65536.0 };
        let mean: f64 =
            (0..=u16::MAX).map(|r| q.slot(0.3 / 1024.0, r).0 as f64 - q.offset).sum::<f64>()
                / 65536.0;
        assert!((mean - 0.3).abs() < 1.0 / 65536.0, "{mean}");
        assert_eq!(q.slot(-0.5 / 1024.0, 0x4000).0, 32767);
        assert_eq!(q.slot(100.0, 0), (65535, true));
        assert_eq!(q.slot(-100.0, 0), (1, true));
        assert_eq!(q.slot(32767.0 / 1024.0, 0xffff), (65535, false));
        assert_eq!(q.slot(-32767.0 / 1024.0, 0), (1, false));
        assert_eq!(q.slot(f32::MAX, 0), (65535, true));
    }

    #[test]
    fn every_path_encodes_alike() {
        let values: Vec<f32> = (0..1003)
            .map(|i| match i % 7 {
                0 => 1e30,
                1 => -1e30,
                2 => 0.0,
                _ => ((i * 7919) % 2003) as f32 * 0.07 - 70.0,
            })
            .collect();
        let rounding: Vec<u16> = (0..1003u32).map(|i| (i * 40_503) as u16).collect();
        let q = Quantiser { factor: 777.7, offset: 32768.0, top: 65536.0 };
        let mut expected = vec![3; 1003];
        let met = Kernel::SCALAR.quantise(&values, &rounding, &q, 20, &mut expected);
        assert!(met.clamped > 200 && !met.not_finite);
        for kernel in Kernel::available() {
            let mut out = vec![3; 1003];
            assert_eq!(kernel.quantise(&values, &rounding, &q, 20, &mut out), met);
            assert_eq!(out, expected, "{kernel:?}");
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, 500, 1002] {
                    let mut values = values.clone();
                    values[at] = bad;
                    assert!(kernel.quantise(&values, &rounding, &q, 0, &mut out).not_finite);
                }
            }
        }
    }
}
