//! Weights as the manifest declares them: the factor of an update, the divisor of a sum, and the
//! bound of a sum.

use fedshield_he::{SumShape, largest_value};
use fedshield_protocol::ids::MemberIndex;

use super::MemberTerms;

impl MemberTerms {
    /// Quanta per unit, at weight one, in applied round `t`: the largest weight times the clipping
    /// bound fits the preset's bits.
    #[must_use]
    pub fn scale(&self, t: u64) -> f64 {
        let largest = u64::from(self.manifest.largest_weight());
        self.settings.scale(t, self.preset.value_bits(), largest)
    }

    /// Quanta per unit of a member's update in applied round `t`: the scale times its weight.
    #[must_use]
    pub fn scale_of(&self, member: MemberIndex, t: u64) -> f64 {
        self.scale(t) * f64::from(self.manifest.weight_of(member))
    }

    /// The divisor of the sum of `members`' updates: the sum of their weights.
    pub fn weight_sum(&self, members: impl IntoIterator<Item = MemberIndex>) -> u64 {
        members.into_iter().map(|member| u64::from(self.manifest.weight_of(member))).sum()
    }

    /// Shape of the sum of `members`' updates in applied round `t`: `value_count` values, each
    /// within the sum of the members' clipping bounds, times their weights. In the units in which
    /// they are sent, the bound of every factor is that of the first.
    pub fn sum_shape(
        &self,
        members: impl IntoIterator<Item = MemberIndex>,
        t: u64,
        value_count: u64,
    ) -> SumShape {
        let clip = self.settings.clip(t, self.settings.first_factor(t));
        let largest = |member| largest_value(self.preset, self.scale_of(member, t), clip);
        SumShape::new(value_count, members.into_iter().map(largest))
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::manifest::{Algorithm, Manifest, ValidManifest, Weights};

    use super::*;

    fn terms(change: impl FnOnce(&mut Manifest)) -> MemberTerms {
        let mut manifest = fedshield_fixtures::manifest(4);
        change(&mut manifest);
        MemberTerms::new(&ValidManifest::check(manifest).unwrap(), MemberIndex(0)).unwrap()
    }

    fn declared(weights: [u32; 4], cap: u32) -> MemberTerms {
        terms(|manifest| {
            (manifest.weights, manifest.weight_cap) = (Some(Weights::Declared), cap);
            let members = manifest.members.iter_mut().zip(weights);
            members.for_each(|(member, weight)| member.weight = weight);
        })
    }

    /// The cap is what members could have declared, not what they did: it costs no bits.
    #[test]
    fn the_scale_follows_the_largest_weight_that_was_signed_and_not_the_cap() {
        let clip =
            |terms: &MemberTerms| f64::from(terms.settings.clip(0, terms.settings.first_factor(0)));
        let (low, high) = (declared([60, 50, 40, 10], 60), declared([60, 50, 40, 10], 1024));
        assert_eq!(low.scale(0), high.scale(0));
        let largest = high.scale_of(MemberIndex(0), 0) * clip(&high);
        assert!((largest - 32_766.0).abs() < 1e-6, "{largest} of 16 bits");
        let heavier = declared([1024, 50, 40, 10], 1024);
        assert!((high.scale(0) / heavier.scale(0) - 1024.0 / 60.0).abs() < 1e-9);
    }

    /// The bound of a sum, in quanta, is the same for the coordinates of both factors.
    #[test]
    fn the_largest_value_of_either_factor_fits_the_shape_of_the_sum() {
        use fedshield_train::federated::Factor;
        for ratio in [1.0, 3.7, 16.0] {
            let terms = terms(|manifest| {
                manifest.training.algorithm = Algorithm::Fedit;
                manifest.training.rate_ratio = fedshield_fixtures::real(ratio);
            });
            let shape = terms.sum_shape([MemberIndex(0), MemberIndex(1)], 0, 10);
            let clip = |factor| f64::from(terms.settings.clip(0, factor));
            assert!((clip(Factor::B) / clip(Factor::A) - ratio).abs() < 1e-6);
            for factor in [Factor::A, Factor::B] {
                let sent = clip(factor) / terms.settings.unit(0, factor);
                let quanta = 2.0 * sent * terms.scale_of(MemberIndex(0), 0);
                let largest = shape.largest as f64;
                assert!(quanta <= largest && quanta > largest - 4.0, "{quanta} of {largest}");
            }
        }
    }
}
