//! Rotary frequencies for contexts longer than that of the pretraining, as transformers computes
//! them.

use std::f64::consts::TAU;

use crate::model::RopeScaling;

/// The `dim / 2` angular frequencies for sequences of `len` tokens, in radians per position, and
/// the factor of cosines and sines.
pub(super) fn frequencies(
    theta: f64,
    scaling: Option<&RopeScaling>,
    dim: usize,
    len: usize,
) -> (Vec<f64>, f64) {
    let plain = |theta: f64| (0..dim / 2).map(move |j| theta.powf(-2.0 * j as f64 / dim as f64));
    let Some(scaling) = scaling else { return (plain(theta).collect(), 1.0) };
    let frequencies = match scaling {
        RopeScaling::Linear { .. } | RopeScaling::Llama3 { .. } => {
            plain(theta).map(|frequency| scaling.scale(frequency)).collect()
        }
        RopeScaling::Dynamic { factor, original_max_position } => {
            let original = *original_max_position as f64;
            let stretch = factor * original.max(len as f64) / original - (factor - 1.0);
            plain(theta * stretch.powf(dim as f64 / (dim as f64 - 2.0))).collect()
        }
        RopeScaling::Yarn { factor, .. } => {
            let keep = ramp(scaling, theta, dim);
            let mixed = |(frequency, keep): (f64, f64)| {
                frequency / factor * (1.0 - keep) + frequency * keep
            };
            plain(theta).zip(keep).map(mixed).collect()
        }
        RopeScaling::LongRope { short, long, original_max_position, .. } => {
            let divisors = if len > *original_max_position { long } else { short };
            plain(theta).zip(divisors.iter()).map(|(frequency, d)| frequency / d).collect()
        }
    };
    (frequencies, scaling.attention_factor())
}

/// YaRN: how much of each frequency is kept, from 1 for the high ones to 0 for the low ones.
fn ramp(scaling: &RopeScaling, theta: f64, dim: usize) -> Vec<f64> {
    let RopeScaling::Yarn { beta_fast, beta_slow, original_max_position, truncate, .. } = scaling
    else {
        return Vec::new();
    };
    // The (fractional) coordinate whose frequency makes this many turns in the original context.
    let coordinate = |turns: f64| {
        dim as f64 * (*original_max_position as f64 / (turns * TAU)).ln() / (2.0 * theta.ln())
    };
    let (mut low, mut high) = (coordinate(*beta_fast), coordinate(*beta_slow));
    if *truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(dim as f64 - 1.0));
    if low == high {
        high += 0.001;
    }
    (0..dim / 2).map(|j| 1.0 - ((j as f64 - low) / (high - low)).clamp(0.0, 1.0)).collect()
}

impl RopeScaling {
    /// The factor of cosines and sines.
    fn attention_factor(&self) -> f64 {
        match self {
            Self::Yarn { attention_factor, .. } | Self::LongRope { attention_factor, .. } => {
                *attention_factor
            }
            _ => 1.0,
        }
    }

    /// A frequency, in radians per position, after a scaling that depends on the frequency alone;
    /// other scalings leave it as it is.
    pub(crate) fn scale(&self, frequency: f64) -> f64 {
        match self {
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => {
                let wavelength = TAU / frequency;
                let original = *original_max_position as f64;
                if wavelength > original / low_freq_factor {
                    frequency / factor
                } else if wavelength < original / high_freq_factor {
                    frequency
                } else {
                    let smooth = (original / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
            _ => frequency,
        }
    }
}
