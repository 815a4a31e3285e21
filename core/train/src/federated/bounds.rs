//! How far a coordinate of an update may move in a round, factor by factor, and the unit in which
//! it is sent.
//!
//! A whole round is quantised at one scale. Where the factors move by different distances, each is
//! sent in a unit in which its bound equals that of the round's first factor: so each uses all bits
//! of a value, and one range check fits all of them.

use std::borrow::Cow;

use super::global::GlobalAdapter;
use super::layout::{AdapterLayout, Factor};
use super::settings::FederatedSettings;
use crate::Valid;

/// The bounds of one round, over the flat vector of its trained factors; the same bits at every
/// member.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundBounds(Vec<FactorBounds>);

/// The bounds of one factor.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FactorBounds {
    /// End of the factor in the flat vector.
    end: usize,
    /// Bound on the absolute value of each coordinate.
    clip: f32,
    /// What one unit of a sent value is worth; 1 for the first factor.
    unit: f64,
}

impl GlobalAdapter {
    /// The bounds of the next round.
    pub fn bounds(&self, settings: &Valid<FederatedSettings>) -> RoundBounds {
        RoundBounds::new(&self.layout, settings, self.applied)
    }
}

impl RoundBounds {
    fn new(layout: &AdapterLayout, settings: &Valid<FederatedSettings>, applied: u64) -> Self {
        let mut end = 0;
        let of = |factor: &Factor| {
            end += layout.len(*factor);
            let (clip, unit) = (settings.clip(applied, *factor), settings.unit(applied, *factor));
            FactorBounds { end, clip, unit }
        };
        Self(settings.algorithm.factors(applied).iter().map(of).collect())
    }

    /// Bound on the absolute value of the coordinate `index` of the flat vector.
    pub fn clip(&self, index: usize) -> f32 {
        self.at(index).clip
    }

    /// What one unit of a sent value of the coordinate `index` is worth.
    pub(super) fn unit(&self, index: usize) -> f64 {
        self.at(index).unit
    }

    /// Clipped values of the coordinates `indices`, each in the unit in which it is sent.
    pub(super) fn encode<'a>(&self, indices: &[u32], values: &'a [f32]) -> Cow<'a, [f32]> {
        if self.0.iter().all(|factor| factor.unit == 1.0) {
            return Cow::Borrowed(values);
        }
        let first = self.clip(0);
        let encoded = indices.iter().zip(values).map(|(index, value)| {
            let in_unit = (f64::from(*value) / self.unit(*index as usize)) as f32;
            in_unit.clamp(-first, first)
        });
        Cow::Owned(encoded.collect())
    }

    /// A round trains at least one factor, and an index beyond all is in none: it gets the bound of
    /// the last.
    fn at(&self, index: usize) -> &FactorBounds {
        let place = self.0.partition_point(|factor| factor.end <= index);
        &self.0[place.min(self.0.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::federated::tests::{adapter, settings};
    use crate::federated::{Algorithm, PruneSchedule};

    #[test]
    fn every_factor_uses_all_bits_whatever_its_rate() {
        for (algorithm, ratio) in [(Algorithm::FedIt, 16.0), (Algorithm::Halves, 0.3)] {
            let settings = settings(algorithm, PruneSchedule::constant(0.0))
                .with(|it| (it.rate_ratio, it.steps) = (ratio, 7))
                .unwrap();
            let global = adapter(&settings);
            let bounds = global.bounds(&settings);
            let (a, all) = (global.layout().len(Factor::A), global.trained_len());
            let scale = settings.scale(0, 16, 1);
            let most = f64::from(settings.clip(0, Factor::A)) * scale;
            let indices = [0, a as u32 - 1, a as u32, all as u32 - 1];
            for sign in [-1.0, 1.0] {
                let values = indices.map(|index| sign * bounds.clip(index as usize));
                for value in bounds.encode(&indices, &values).iter() {
                    assert!((f64::from(*value) * scale - f64::from(sign) * most).abs() < 1e-9);
                }
            }
            assert!((most - 32766.0).abs() < 1e-6, "{most}");
        }
    }
}
