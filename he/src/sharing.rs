//! Among whom a key is shared, and how many of them may be faulty.

use std::fmt;
use std::num::NonZeroU16;

use crate::error::Error;
use crate::params::MAX_MEMBERS;

/// The point at which a member's shares are evaluated: 1 for the first member. Never 0, where the
/// polynomials hold the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareIndex(NonZeroU16);

impl ShareIndex {
    /// The share index with this number; `None` for 0.
    pub const fn new(index: u16) -> Option<Self> {
        match NonZeroU16::new(index) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }

    /// The share index of the member at this position, counted from 0: one more. Position 65,535
    /// gets the same index as 65,534; both are beyond every preset, so each function refuses them.
    pub const fn from_position(position: u16) -> Self {
        Self(NonZeroU16::MIN.saturating_add(position))
    }

    /// The member's position, counted from 0: one less.
    pub const fn position(self) -> u16 {
        self.0.get() - 1
    }

    /// The number, from 1.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareIndex({})", self.0)
    }
}

/// A (t, n) sharing: any `threshold` of `members` shares give the key, fewer say nothing about it.
/// 2 <= `threshold` <= `members` <= 700, by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    threshold: u16,
    members: u16,
}

impl Sharing {
    /// Any `threshold` of `members`.
    ///
    /// # Errors
    /// [`Error::Argument`] names the number that is out of range.
    pub fn new(threshold: u16, members: u16) -> Result<Self, Error> {
        if members > MAX_MEMBERS {
            return Err(Error::argument("members", "more than any preset holds"));
        }
        if threshold < 2 || threshold > members {
            return Err(Error::argument("threshold", "not in 2 ..= members"));
        }
        Ok(Self { threshold, members })
    }

    /// Shares that give the key, t.
    pub const fn threshold(self) -> u16 {
        self.threshold
    }

    /// Members that get a share, n.
    pub const fn members(self) -> u16 {
        self.members
    }

    /// Share indices of all members, ascending.
    pub fn indices(self) -> impl Iterator<Item = ShareIndex> {
        (0..self.members).map(ShareIndex::from_position)
    }

    /// Whether there is a member with this share index.
    pub(crate) const fn holds(self, index: ShareIndex) -> bool {
        index.get() <= self.members
    }
}

/// A sharing in which some members may be faulty and answer arbitrarily, or not at all: the
/// parameters of robust reconstruction (McEliece and Sarwate, Communications of the ACM 24 (9),
/// 1981, doi:10.1145/358746.358762).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RobustSharing {
    sharing: Sharing,
    max_faulty: u16,
}

impl RobustSharing {
    /// At most `max_faulty` of the members are faulty.
    ///
    /// # Errors
    /// [`Error::Argument`] if the faulty members alone could open the key.
    pub fn new(sharing: Sharing, max_faulty: u16) -> Result<Self, Error> {
        if max_faulty >= sharing.threshold {
            return Err(Error::argument("max_faulty", "as many as the threshold"));
        }
        Ok(Self { sharing, max_faulty })
    }

    /// The sharing itself.
    pub const fn sharing(self) -> Sharing {
        self.sharing
    }

    /// Shares that give the key, t.
    pub const fn threshold(self) -> u16 {
        self.sharing.threshold
    }

    /// Members that may be faulty, f.
    pub const fn max_faulty(self) -> u16 {
        self.max_faulty
    }

    /// Answers on one polynomial through the key that prove it to be the true one: t - 1 + f, at
    /// least t - 1 of which are honest. See [`Answers`](crate::Answers).
    pub(crate) const fn proving_answers(self) -> usize {
        self.sharing.threshold as usize - 1 + self.max_faulty as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_index_is_a_position_and_one() {
        for position in [0, 1, 511, MAX_MEMBERS] {
            let index = ShareIndex::from_position(position);
            assert_eq!((index.get(), index.position()), (position + 1, position));
            assert_eq!(ShareIndex::new(position + 1), Some(index));
        }
        assert_eq!(ShareIndex::new(0), None);
        assert_eq!(ShareIndex::from_position(u16::MAX).get(), u16::MAX);
    }

    #[test]
    fn only_thresholds_that_make_sense_are_made() {
        for (threshold, members, valid) in
            [(2, 2, true), (3, 4, true), (1, 4, false), (5, 4, false), (3, 701, false)]
        {
            assert_eq!(Sharing::new(threshold, members).is_ok(), valid, "{threshold} {members}");
        }
        let sharing = Sharing::new(3, 4).unwrap();
        assert!(RobustSharing::new(sharing, 2).is_ok());
        assert!(RobustSharing::new(sharing, 3).is_err());
        assert_eq!(sharing.indices().map(ShareIndex::get).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
