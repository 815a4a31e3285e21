//! Blocks of 32 neighbouring values of a row, in 8 or 4 bits each.

use half::f16;

/// Values in a block.
pub(super) const BLOCK: usize = 32;

/// A block of values that share a step.
pub(super) trait Block: Copy + Default + Send + Sync {
    /// Encodes 1 to 32 values; `None` if the step or the minimum would not be a finite f16.
    fn encode(values: &[f32]) -> Option<Self>;

    /// Decodes all 32.
    fn decode(&self, out: &mut [f32; BLOCK]);

    /// Decodes the first `out.len()` of at most 32 values.
    #[inline(always)]
    fn decode_part(&self, out: &mut [f32]) {
        if let Ok(whole) = <&mut [f32; BLOCK]>::try_from(&mut *out) {
            return self.decode(whole);
        }
        let mut whole = [0.0; BLOCK];
        self.decode(&mut whole);
        out.copy_from_slice(&whole[..out.len()]);
    }
}

/// w' = step * code.
#[derive(Clone, Copy, Default)]
pub(super) struct Block8 {
    step: f16,
    codes: [i8; BLOCK],
}

impl Block8 {
    pub(super) fn step(&self) -> f32 {
        self.step.to_f32()
    }

    pub(super) fn codes(&self) -> &[i8; BLOCK] {
        &self.codes
    }
}

impl Block for Block8 {
    fn encode(values: &[f32]) -> Option<Self> {
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let step = step_that(largest / 127.0, |step| step * 127.0 >= largest)?;
        let mut block = Self { step, ..Self::default() };
        let step = step.to_f32();
        for (code, value) in block.codes.iter_mut().zip(values) {
            // Casts saturate; 0/0, in a block of zeros, becomes 0.
            *code = (value / step).round_ties_even() as i8;
        }
        Some(block)
    }

    #[inline(always)]
    fn decode(&self, out: &mut [f32; BLOCK]) {
        let step = self.step.to_f32();
        for (out, code) in out.iter_mut().zip(self.codes) {
            *out = step * f32::from(code);
        }
    }
}

/// w' = minimum + step * code; codes i and i + 16 share a byte, code i in the low half.
#[derive(Clone, Copy, Default)]
pub(super) struct Block4 {
    step: f16,
    minimum: f16,
    codes: [u8; BLOCK / 2],
}

impl Block4 {
    pub(super) fn step(&self) -> f32 {
        self.step.to_f32()
    }

    pub(super) fn minimum(&self) -> f32 {
        self.minimum.to_f32()
    }

    /// A code in 0..=15.
    pub(super) fn code(&self, index: usize) -> u8 {
        self.codes[index % (BLOCK / 2)] >> (index / (BLOCK / 2) * 4) & 15
    }
}

impl Block for Block4 {
    fn encode(values: &[f32]) -> Option<Self> {
        let least = values.iter().fold(f32::INFINITY, |least, value| least.min(*value));
        let largest = values.iter().fold(f32::NEG_INFINITY, |largest, value| largest.max(*value));
        let minimum = at_most(least)?;
        let from = minimum.to_f32();
        let step = step_that((largest - from) / 15.0, |step| from + step * 15.0 >= largest)?;
        let mut block = Self { step, minimum, ..Self::default() };
        let step = step.to_f32();
        for (index, value) in values.iter().enumerate() {
            let code = ((value - from) / step).round_ties_even().min(15.0) as u8;
            block.codes[index % 16] |= code << (index / 16 * 4);
        }
        Some(block)
    }

    #[inline(always)]
    fn decode(&self, out: &mut [f32; BLOCK]) {
        let (step, minimum) = (self.step.to_f32(), self.minimum.to_f32());
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for ((low, high), codes) in low.iter_mut().zip(high).zip(self.codes) {
            *low = minimum + step * f32::from(codes & 15);
            *high = minimum + step * f32::from(codes >> 4);
        }
    }
}

/// The f16 nearest to `wanted`, at least 0, or the next larger one if that is too small. The
/// nearest comes first, so that values that were stored with an f16 step recover that step.
fn step_that(wanted: f32, reaches: impl Fn(f32) -> bool) -> Option<f16> {
    let nearest = f16::from_f32(wanted);
    let step = match reaches(nearest.to_f32()) {
        true => nearest,
        false => f16::from_bits(nearest.to_bits() + 1),
    };
    step.is_finite().then_some(step)
}

/// The largest f16 not above `value`.
fn at_most(value: f32) -> Option<f16> {
    let nearest = f16::from_f32(value);
    let bits = nearest.to_bits();
    let below = match nearest.to_f32() <= value {
        true => nearest,
        false if bits == 0 => f16::from_bits(0x8001),
        false if nearest.is_sign_negative() => f16::from_bits(bits + 1),
        false => f16::from_bits(bits - 1),
    };
    below.is_finite().then_some(below)
}
