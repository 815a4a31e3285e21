//! exp in f32 that the compiler can vectorise: range reduction by powers of two and a polynomial.
//! The largest error over the range used here is 2 units in the last place.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 as a sum. The high part has few significant bits, so that x - n ln 2 loses no precision.
#[expect(clippy::excessive_precision, reason = "all digits, because it is exact")]
const LN2_HIGH: f32 = 0.693_359_375;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 * 2^23: adding it rounds to an integer and leaves that integer in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// e^x, but 0 below x = -87.3 and e^88 above x = 88.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let small = x < -87.3;
    let x = x.clamp(-87.3, 88.0);
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + coefficient;
    }
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    if small { 0.0 } else { p * f32::from_bits(exponent) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_library() {
        let mut worst = 0f64;
        for step in -87_000..88_000 {
            let x = step as f32 * 1e-3;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(super::exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 3e-7, "{worst:e}");
        assert_eq!(super::exp(-1e9), 0.0);
        assert_eq!(super::exp(0.0), 1.0);
    }
}
