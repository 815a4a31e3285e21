//! What the members have measured together: the mean of their own losses with the adapter that a
//! round starts from, out of the opened sum.

use serde::{Deserialize, Serialize};

/// The sum of the numbers that members have put into their updates: each one's loss on its own
/// validation sample with the adapter that the round starts from, over the base model's loss there,
/// clipped to 0 to below 2, in units of 1 / [`Self::ONE`]. Each member counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Members that have measured.
    pub count: u16,
    /// Sum of their numbers, each at most [`Self::LARGEST`].
    pub sum: u32,
}

impl Measured {
    /// The number of a member whose loss is that of the base model.
    pub const ONE: u32 = 1 << 15;
    /// The largest number of a member.
    pub const LARGEST: u32 = (1 << 16) - 1;

    /// The mean of loss over base loss.
    #[must_use]
    pub fn mean(&self) -> f64 {
        f64::from(self.sum) / f64::from(Self::ONE) / f64::from(self.count.max(1))
    }

    /// What a record keeps of the sum of `contributors` updates: nothing of one with fewer numbers
    /// than a sum has updates at least. It would say more about single members than a sum may, and
    /// one contributor that shifts the count could shift the mean further.
    #[must_use]
    pub fn admitted(self, contributors: usize, min_contributors: u16) -> Option<Self> {
        let count = usize::from(self.count);
        let in_range = u64::from(self.sum) <= u64::from(self.count) * u64::from(Self::LARGEST);
        (self.count >= min_contributors && count <= contributors && in_range).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_at_least_as_many_numbers_as_a_sum_has_updates() {
        let measured = Measured { count: 3, sum: 3 * (Measured::ONE / 2) };
        assert!((measured.mean() - 0.5).abs() < 1e-12);
        assert_eq!(measured.admitted(4, 3), Some(measured));
        assert_eq!(measured.admitted(2, 2), None, "more numbers than updates");
        assert_eq!(measured.admitted(4, 4), None, "too few numbers");
        let above = Measured { sum: 3 * Measured::LARGEST + 1, ..measured };
        assert_eq!(above.admitted(4, 3), None, "more than the numbers can add up to");
        assert!(Measured { count: 0, sum: 9 }.mean().is_finite());
    }
}
