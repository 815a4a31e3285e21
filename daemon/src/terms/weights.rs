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
    /// within the sum of the members' clipping bounds, times their weights.
    pub fn sum_shape(
        &self,
        members: impl IntoIterator<Item = MemberIndex>,
        t: u64,
        value_count: u64,
    ) -> SumShape {
        let clip = self.settings.clip(t);
        let largest = |member| largest_value(self.preset, self.scale_of(member, t), clip);
        SumShape::new(value_count, members.into_iter().map(largest))
    }
}
