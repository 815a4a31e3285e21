//! A set of members as a bitmap.

use serde::{Deserialize, Serialize};

use crate::ids::MemberIndex;

/// A set of members: bit m of byte m / 8 for member m. As long as the member count needs, no longer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bits(Vec<u8>);

impl Bits {
    /// The set of `members`, in a federation of `member_count`.
    #[must_use]
    pub fn of(member_count: u16, members: impl IntoIterator<Item = MemberIndex>) -> Self {
        let mut bits = Self(vec![0; usize::from(member_count).div_ceil(8)]);
        for member in members {
            bits.set(member.position());
        }
        bits
    }

    /// An empty bitmap for `count` positions.
    #[must_use]
    pub fn empty(count: usize) -> Self {
        Self(vec![0; count.div_ceil(8)])
    }

    /// Adds a position; one past the end is ignored.
    pub fn set(&mut self, position: usize) {
        if let Some(byte) = self.0.get_mut(position / 8) {
            *byte |= 1 << (position % 8);
        }
    }

    /// Whether `position` is in the set.
    #[must_use]
    pub fn get(&self, position: usize) -> bool {
        self.0.get(position / 8).is_some_and(|byte| byte & (1 << (position % 8)) != 0)
    }

    /// Whether `member` is in the set.
    #[must_use]
    pub fn contains(&self, member: MemberIndex) -> bool {
        self.get(member.position())
    }

    /// Whether the bitmap has exactly the length for `count` positions and no bit behind them.
    #[must_use]
    pub fn fits(&self, count: usize) -> bool {
        self.0.len() == count.div_ceil(8) && (count..self.0.len() * 8).all(|i| !self.get(i))
    }
}
