//! What a sum must hold: how many values, and how large the sum of each may be.

use crate::params::Preset;

/// The values of a sum, as the contributors agreed on them beforehand.
///
/// The bound on a value is checked on the sum alone, because nothing else of an update is opened.
/// So one faulty contributor can shift a value by as much as all contributors of U together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumShape {
    /// Number of values.
    pub value_count: u64,
    /// The largest absolute value that one value's sum may have: the sum over the contributors of
    /// their own [`largest_value`].
    pub largest: i64,
}

impl SumShape {
    /// The shape of a sum whose contributors' values are at most these in absolute value.
    pub fn new(value_count: u64, largest_values: impl IntoIterator<Item = i64>) -> Self {
        let largest = largest_values.into_iter().fold(0i64, i64::saturating_add);
        Self { value_count, largest }
    }

    /// The shape of a sum of so many contributors that use all bits of the preset.
    pub fn full(preset: &Preset, contributors: u16, value_count: u64) -> Self {
        let largest = i64::from(contributors) * preset.value_limit();
        Self { value_count, largest }
    }
}

/// The largest absolute quantised value of an honest contributor that clips to `clip` and takes
/// `scale` quanta per unit, its weight included: `scale * clip`, and one for rounding.
pub fn largest_value(preset: &Preset, scale: f64, clip: f32) -> i64 {
    let reach = (scale * f64::from(clip)).abs().floor();
    // The cast saturates, and a NaN becomes zero.
    (reach as i64).saturating_add(1).min(preset.value_limit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_is_what_rounding_can_give() {
        let preset = Preset::by_name("INSECURE-rlwe-sum/b8/n16").unwrap();
        for (scale, clip, expected) in
            [(10.0, 1.0, 11), (10.0, 1.05, 11), (0.0, 1.0, 1), (1e9, 1.0, 127), (f64::NAN, 1.0, 1)]
        {
            assert_eq!(largest_value(preset, scale, clip), expected, "{scale} {clip}");
        }
        assert_eq!(SumShape::new(3, [11, 22, 1]).largest, 34);
        assert_eq!(SumShape::full(preset, 16, 3).largest, 16 * 127);
    }
}
