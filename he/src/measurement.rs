//! One number that each update may carry beside its values: for instance how well a model did on
//! the contributor's own examples. It counts once, whatever the weight of the update.
//!
//! It has 16 bits, in two limbs: the low byte, then the high one. A third limb counts it: 1, or 0
//! of a contributor that has no number, whose other limbs are 0 as well. Limbs are bytes, so they
//! fit the slots of every preset.
//!
//! Nothing but the sum is opened, so the sum is all that can be checked: see [`MeasuredSum::of`].

/// Limbs of a measurement.
pub(crate) const MEASUREMENT_LIMBS: usize = 3;

/// Slots of a measurement: a ciphertext that carries one is as long as one without and with this
/// many more values.
pub const MEASUREMENT_SLOTS: u64 = MEASUREMENT_LIMBS as u64;

/// The limbs of a number, or of none.
pub(crate) fn limbs(number: Option<u16>) -> [u8; MEASUREMENT_LIMBS] {
    number.map_or([0; MEASUREMENT_LIMBS], |number| {
        let [low, high] = number.to_le_bytes();
        [low, high, 1]
    })
}

/// The opened sum of the contributors' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasuredSum {
    /// Contributors that have given a number; at least 1.
    pub count: u16,
    /// Sum of their numbers, at most 65,535 for each.
    pub sum: u32,
}

impl MeasuredSum {
    /// What the sums of the limbs say; `None` if nobody has given a number, or if they cannot be
    /// those of honest contributors: more numbers than contributors, or a byte whose sum is above
    /// 255 for each number.
    ///
    /// A contributor that lies can shift both sums within these bounds, and by no more.
    pub(crate) fn of(limbs: &[u64], contributors: u16) -> Option<Self> {
        let &[low, high, count] = limbs else { return None };
        let count = u16::try_from(count).ok().filter(|it| (1..=contributors).contains(it))?;
        let most = 255 * u64::from(count);
        if low > most || high > most {
            return None;
        }
        let sum = u32::try_from(low + 256 * high).ok()?;
        Some(Self { count, sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_add_up_to_the_sum_of_the_numbers() {
        let numbers = [Some(0), Some(65_535), None, Some(300), Some(32_768)];
        let mut sums = [0u64; 3];
        for number in numbers {
            sums.iter_mut().zip(limbs(number)).for_each(|(sum, limb)| *sum += u64::from(limb));
        }
        let expected = MeasuredSum { count: 4, sum: 65_535 + 300 + 32_768 };
        assert_eq!(MeasuredSum::of(&sums, 5), Some(expected));
    }

    #[test]
    fn sums_that_honest_contributors_cannot_have_are_none() {
        assert_eq!(MeasuredSum::of(&[0, 0, 0], 4), None, "nobody has measured");
        assert_eq!(MeasuredSum::of(&[0, 0, 5], 4), None, "more numbers than contributors");
        assert_eq!(MeasuredSum::of(&[0, 0, u64::MAX], 4), None);
        for limbs in [[256, 0, 1], [0, 256, 1], [511, 0, 2], [u64::MAX, 0, 2]] {
            assert_eq!(MeasuredSum::of(&limbs, 4), None, "{limbs:?}");
        }
        let largest = MeasuredSum { count: 4, sum: 4 * 65_535 };
        assert_eq!(MeasuredSum::of(&[1020, 1020, 4], 4), Some(largest));
        assert_eq!(MeasuredSum::of(&[], 4), None);
    }
}
