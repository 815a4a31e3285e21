//! Applying the opened mean: a server optimiser that every member runs by itself.
//!
//! Deterministic: f64 additions, multiplications, divisions and square roots in a fixed order,
//! which IEEE 754 fixes to the last bit, and one rounding to f32 for each stored value.

use serde::{Deserialize, Serialize};

use crate::{Result, TrainError};

/// Server optimisers. Their state changes only at coordinates that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum ServerOptimizer {
    /// g += eta * mean.
    Plain {
        /// Step size; 1 applies the mean as it is.
        eta: f64,
    },
    /// v = beta * v + mean; g += eta * v.
    Momentum {
        /// Step size.
        eta: f64,
        /// Decay of the velocity.
        beta: f64,
    },
    /// v = beta * v + mean; g += eta * (mean + beta * v): Nesterov's momentum, the outer optimiser
    /// of DiLoCo (Douillard et al., arXiv:2311.08105).
    Nesterov {
        /// Step size.
        eta: f64,
        /// Decay of the velocity.
        beta: f64,
    },
    /// Adam on the mean, with bias correction by the rounds that trained the factor.
    Adam {
        /// Step size.
        eta: f64,
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
    },
}

impl Default for ServerOptimizer {
    fn default() -> Self {
        Self::Plain { eta: 1.0 }
    }
}

impl ServerOptimizer {
    /// Number of state vectors, each as long as a factor.
    pub(crate) fn state_vectors(self) -> usize {
        match self {
            Self::Plain { .. } => 0,
            Self::Momentum { .. } | Self::Nesterov { .. } => 1,
            Self::Adam { .. } => 2,
        }
    }

    pub(super) fn validate(self) -> Result<()> {
        let (eta, decays, epsilon) = match self {
            Self::Plain { eta } => (eta, [0.0, 0.0], 1.0),
            Self::Momentum { eta, beta } | Self::Nesterov { eta, beta } => (eta, [beta, 0.0], 1.0),
            Self::Adam { eta, beta1, beta2, epsilon } => (eta, [beta1, beta2], epsilon),
        };
        let fits = eta.is_finite()
            && eta > 0.0
            && decays.iter().all(|decay| (0.0..1.0).contains(decay))
            && epsilon.is_finite()
            && epsilon > 0.0;
        match fits {
            true => Ok(()),
            false => Err(TrainError::setting(
                "server",
                "eta and epsilon must be positive, decays in [0, 1)",
            )),
        }
    }

    /// The change of one coordinate. `state` holds that coordinate's state values; `applied` counts
    /// the rounds that trained this factor, this one included.
    pub(crate) fn step(self, mean: f64, state: [&mut f32; 2], applied: u64) -> f64 {
        let [first, second] = state;
        match self {
            Self::Plain { eta } => eta * mean,
            Self::Momentum { eta, beta } => {
                let velocity = beta * f64::from(*first) + mean;
                *first = velocity as f32;
                eta * velocity
            }
            Self::Nesterov { eta, beta } => {
                let velocity = beta * f64::from(*first) + mean;
                *first = velocity as f32;
                eta * (mean + beta * velocity)
            }
            Self::Adam { eta, beta1, beta2, epsilon } => {
                let m = beta1 * f64::from(*first) + (1.0 - beta1) * mean;
                let v = beta2 * f64::from(*second) + (1.0 - beta2) * (mean * mean);
                (*first, *second) = (m as f32, v as f32);
                let corrected_m = m / (1.0 - power(beta1, applied));
                let corrected_v = v / (1.0 - power(beta2, applied));
                eta * corrected_m / (corrected_v.sqrt() + epsilon)
            }
        }
    }
}

/// `base^exponent` by repeated squaring: `powi` does not guarantee the same bits on every machine.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}
