//! A set of members as a bitmap.

use core::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::ids::MemberIndex;

/// Bytes that take no allocation: a heartbeat has a dozen bitmaps of at most 100 members.
const INLINE_BYTES: usize = 16;

/// A set of members: bit m of byte m / 8 for member m. As long as the member count needs, no
/// longer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits(SmallVec<[u8; INLINE_BYTES]>);

impl Bits {
    /// The set of `members`, in a federation of `member_count`.
    #[must_use]
    pub fn of(member_count: u16, members: impl IntoIterator<Item = MemberIndex>) -> Self {
        let mut bits = Self::empty(usize::from(member_count));
        for member in members {
            bits.set(member.position());
        }
        bits
    }

    /// An empty bitmap for `count` positions.
    #[must_use]
    pub fn empty(count: usize) -> Self {
        Self(SmallVec::from_elem(0, count.div_ceil(8)))
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

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Bytes)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Bits;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the bytes of a bitmap")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Bits, A::Error> {
        // Grows with what is really there: a length that is only claimed reserves nothing.
        let mut bits = Bits::default();
        while let Some(byte) = bytes.next_element()? {
            bits.0.push(byte);
        }
        Ok(bits)
    }
}
