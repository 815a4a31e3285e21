//! Sets of updates: U, or what one report lists.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::hash::Use;
use crate::ids::{CommitmentDigest, MemberIndex, SetDigest};
use crate::limits::MAX_MEMBERS;

/// Updates, each named by its contributor and the digest of its commitment: ascending by
/// contributor, at most one for each, at most [`MAX_MEMBERS`]. A list from elsewhere becomes a set
/// only through [`TryFrom`], which decoding uses too, so whoever holds a set need not check it
/// again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(MemberIndex, CommitmentDigest)>")]
pub struct UpdateSet(Vec<(MemberIndex, CommitmentDigest)>);

/// A list of updates that is not in canonical order, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a set lists at most {MAX_MEMBERS} updates, by ascending contributor, one for each")]
pub struct NotASet;

impl UpdateSet {
    /// The digest to which attestations, partial decryptions and the decided value refer.
    #[must_use]
    pub fn digest(&self) -> SetDigest {
        let mut hasher = Use::Set.hasher();
        hasher.update(&(self.len() as u64).to_le_bytes());
        for (member, commitment) in &self.0 {
            hasher.update(&member.0.to_le_bytes());
            hasher.update(commitment.as_bytes());
        }
        SetDigest(*hasher.finalize().as_bytes())
    }

    /// The contributors, ascending.
    pub fn contributors(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.0.iter().map(|(contributor, _)| *contributor)
    }

    /// The commitments, in the order of their contributors.
    pub fn commitments(&self) -> impl Iterator<Item = CommitmentDigest> + '_ {
        self.0.iter().map(|(_, commitment)| *commitment)
    }

    /// Whether `member` contributed an update to it.
    #[must_use]
    pub fn has_contributor(&self, member: MemberIndex) -> bool {
        self.0.binary_search_by_key(&member, |(contributor, _)| *contributor).is_ok()
    }

    /// Whether the update of this commitment is in it.
    #[must_use]
    pub fn has_commitment(&self, commitment: &CommitmentDigest) -> bool {
        self.0.iter().any(|(_, listed)| listed == commitment)
    }

    /// Whether all contributors are members of a federation of `member_count`.
    #[must_use]
    pub fn is_within(&self, member_count: u16) -> bool {
        self.0.last().is_none_or(|(contributor, _)| contributor.0 < member_count)
    }
}

impl Deref for UpdateSet {
    type Target = [(MemberIndex, CommitmentDigest)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl TryFrom<Vec<(MemberIndex, CommitmentDigest)>> for UpdateSet {
    type Error = NotASet;

    fn try_from(list: Vec<(MemberIndex, CommitmentDigest)>) -> Result<Self, NotASet> {
        let is_set = list.len() <= usize::from(MAX_MEMBERS) && list.is_sorted_by(|a, b| a.0 < b.0);
        is_set.then_some(Self(list)).ok_or(NotASet)
    }
}

/// In whichever order they come. Of two updates of one contributor the last counts, and no more are
/// taken than a federation can have members.
impl FromIterator<(MemberIndex, CommitmentDigest)> for UpdateSet {
    fn from_iter<I: IntoIterator<Item = (MemberIndex, CommitmentDigest)>>(updates: I) -> Self {
        let updates: BTreeMap<_, _> = updates.into_iter().collect();
        Self(updates.into_iter().take(usize::from(MAX_MEMBERS)).collect())
    }
}

impl<'a> IntoIterator for &'a UpdateSet {
    type Item = &'a (MemberIndex, CommitmentDigest);
    type IntoIter = std::slice::Iter<'a, (MemberIndex, CommitmentDigest)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn update(member: u16) -> (MemberIndex, CommitmentDigest) {
        (MemberIndex(member), CommitmentDigest([7; 32]))
    }

    #[test]
    fn only_a_list_in_canonical_order_is_a_set() {
        let most: Vec<_> = (0..MAX_MEMBERS).map(update).collect();
        for list in [vec![], vec![update(3)], vec![update(0), update(2)], most] {
            let set = UpdateSet::try_from(list.clone()).unwrap();
            let bytes = postcard::to_allocvec(&list).unwrap();
            assert_eq!(postcard::to_allocvec(&set).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<UpdateSet>(&bytes).unwrap(), set);
            assert_eq!(list.iter().rev().copied().collect::<UpdateSet>(), set);
            assert!(list.iter().all(|(contributor, _)| set.has_contributor(*contributor)));
        }
        let too_many: Vec<_> = (0..=MAX_MEMBERS).map(update).collect();
        for list in [vec![update(2), update(0)], vec![update(1), update(1)], too_many] {
            let bytes = postcard::to_allocvec(&list).unwrap();
            assert_eq!(UpdateSet::try_from(list), Err(NotASet));
            assert!(postcard::from_bytes::<UpdateSet>(&bytes).is_err());
        }
    }

    #[test]
    fn a_set_is_within_a_federation_of_its_contributors() {
        let set: UpdateSet = [update(0), update(4)].into_iter().collect();
        assert!(set.is_within(5) && !set.is_within(4));
        assert!(!set.has_contributor(MemberIndex(1)));
        assert!(UpdateSet::default().is_within(0));
    }
}
