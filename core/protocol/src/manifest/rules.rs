//! The numbers that a membership list fixes.

use crate::ids::MemberIndex;
use crate::manifest::Manifest;
use crate::wire::UpdateSet;

/// A proposed set of updates is smaller than the manifest allows. No honest member proposes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("member {proposer} proposed a set of {found} updates, at least {needed} are needed")]
pub struct SetTooSmall {
    /// Who proposed it.
    pub proposer: MemberIndex,
    /// Updates in it.
    pub found: usize,
    /// Fewest updates in a sum that may be opened.
    pub needed: u16,
}

/// How many may fail and how many must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// n: the number of members, 3 to [`MAX_MEMBERS`](crate::limits::MAX_MEMBERS).
    pub member_count: u16,
    /// f = floor((n-1)/3): members that may be faulty in any way.
    pub max_faulty: u16,
    /// q = floor((n+f)/2) + 1: two quorums share an honest member.
    pub quorum: u16,
    /// Partial decryptions needed to open a sum; equal to the quorum.
    pub threshold: u16,
    /// Fewest updates in a sum that may be opened.
    pub min_contributors: u16,
    /// Members that add ciphertexts.
    pub committee_size: u16,
    /// A planted bug: a voter supports only what it holds itself.
    #[cfg(feature = "planted-bugs")]
    pub vote_by_holding: bool,
    /// A planted bug: a member that has started relies on its journal alone and does not ask the
    /// others.
    #[cfg(feature = "planted-bugs")]
    pub trust_the_disk: bool,
    /// A planted bug: as many members as may be faulty end the training.
    #[cfg(feature = "planted-bugs")]
    pub stop_by_few: bool,
}

impl Rules {
    /// The numbers for `member_count` members with the manifest's own choices; unchecked.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let member_count = u16::try_from(manifest.members.len()).unwrap_or(u16::MAX);
        let (max_faulty, quorum) = counts(member_count);
        Self {
            member_count,
            max_faulty,
            quorum,
            threshold: quorum,
            min_contributors: manifest.min_contributors,
            committee_size: manifest.committee_size,
            #[cfg(feature = "planted-bugs")]
            vote_by_holding: false,
            #[cfg(feature = "planted-bugs")]
            trust_the_disk: false,
            #[cfg(feature = "planted-bugs")]
            stop_by_few: false,
        }
    }

    /// Reports of a quorum that must list an update before it is in U: q - f, so that one of them
    /// is honest and a contributor that was on time at every honest member cannot be dropped.
    #[must_use]
    pub const fn inclusion_threshold(&self) -> u16 {
        self.quorum.saturating_sub(self.max_faulty)
    }

    /// Members that have to say that they have stopped improving to end the training: a quorum, so
    /// that as many as may be faulty can neither end it by themselves nor, if all honest members
    /// say so, prolong it.
    #[must_use]
    pub const fn stop_threshold(&self) -> u16 {
        #[cfg(feature = "planted-bugs")]
        if self.stop_by_few {
            return self.max_faulty;
        }
        self.quorum
    }

    /// Refuses a set that is too small to be opened.
    ///
    /// # Errors
    /// [`SetTooSmall`] names its proposer.
    pub fn check_set(&self, proposer: MemberIndex, set: &UpdateSet) -> Result<(), SetTooSmall> {
        let (found, needed) = (set.len(), self.min_contributors);
        if found < usize::from(needed) {
            return Err(SetTooSmall { proposer, found, needed });
        }
        Ok(())
    }

    /// f + 1: among these, one is honest.
    #[must_use]
    pub const fn honest_threshold(&self) -> u16 {
        self.max_faulty.saturating_add(1)
    }

    /// Fewest contributors that a manifest for `member_count` members may ask for.
    #[must_use]
    pub fn least_contributors(member_count: u16) -> u16 {
        counts(member_count).0.saturating_add(2).max(3)
    }

    /// The usual choice of `min_contributors`: max(3, q).
    #[must_use]
    pub fn default_contributors(member_count: u16) -> u16 {
        counts(member_count).1.max(3)
    }

    /// The usual choice of `committee_size`: min(n, max(2f + 1, 3)).
    #[must_use]
    pub fn default_committee(member_count: u16) -> u16 {
        least_committee(member_count).max(3).min(member_count)
    }
}

/// Fewest committee members: 2f + 1, so that f + 1 equal attestations come from honest ones.
pub(super) fn least_committee(member_count: u16) -> u16 {
    counts(member_count).0.saturating_mul(2).saturating_add(1)
}

/// f and q.
fn counts(member_count: u16) -> (u16, u16) {
    let n = u32::from(member_count);
    let f = n.saturating_sub(1) / 3;
    let q = (n + f) / 2 + 1;
    (u16::try_from(f).unwrap_or(u16::MAX), u16::try_from(q).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_of_every_size() {
        for n in 3..=100 {
            let (f, q) = counts(n);
            assert!(q <= n - f, "n = {n}: the honest members are a quorum");
            assert!(2 * q > n + f, "n = {n}: two quorums share an honest member");
            assert!(3 * f < n);
        }
        assert_eq!(counts(3), (0, 2));
        assert_eq!(counts(4), (1, 3));
        assert_eq!(counts(5), (1, 4));
        assert_eq!(counts(6), (1, 4));
        assert_eq!(counts(7), (2, 5));
        assert_eq!(counts(10), (3, 7));
        assert_eq!(counts(100), (33, 67));
        assert_eq!(Rules::default_committee(4), 3);
        assert_eq!(Rules::least_contributors(3), 3);
        assert_eq!(Rules::default_contributors(7), 5);
    }
}
