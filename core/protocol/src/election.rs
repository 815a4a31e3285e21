//! elect: who adds and who proposes, computed by everyone from the beacon.

use std::sync::Arc;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

use crate::hash::Use;
use crate::ids::{Beacon, Epoch, MemberIndex, Round, View};

/// The order of one round. The first `committee_size` members are the committee; views rotate
/// through all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    order: Arc<[MemberIndex]>,
    committee_size: usize,
}

impl Election {
    /// Draws the order of `member_count` members: Fisher-Yates over ChaCha20(H("committee", beacon,
    /// epoch, round)).
    #[must_use]
    pub fn draw(
        beacon: &Beacon,
        epoch: Epoch,
        round: Round,
        member_count: u16,
        committee_size: u16,
    ) -> Self {
        let seed = Use::Committee.digest(&[
            beacon.as_bytes(),
            &epoch.0.to_le_bytes(),
            &round.0.to_le_bytes(),
        ]);
        let mut stream = Stream(ChaCha20::new(seed.as_bytes().into(), &[0; 12].into()));
        let mut order: Vec<MemberIndex> = (0..member_count).map(MemberIndex).collect();
        for last in (1..order.len()).rev() {
            let other = stream.below(last as u32 + 1) as usize;
            order.swap(last, other);
        }
        Self { order: order.into(), committee_size: usize::from(committee_size) }
    }

    /// Who adds, in drawn order.
    #[must_use]
    pub fn committee(&self) -> &[MemberIndex] {
        self.order.get(..self.committee_size).unwrap_or(&self.order)
    }

    /// Whether `member` adds.
    #[must_use]
    pub fn in_committee(&self, member: MemberIndex) -> bool {
        self.committee().contains(&member)
    }

    /// Who proposes in `view`.
    #[must_use]
    pub fn proposer(&self, view: View) -> MemberIndex {
        let position = view.0 as usize % self.order.len().max(1);
        self.order.get(position).copied().unwrap_or_default()
    }
}

struct Stream(ChaCha20);

impl Stream {
    /// Uniform below `bound`: words in the incomplete last interval are rejected.
    fn below(&mut self, bound: u32) -> u32 {
        let bound = bound.max(1);
        let zone = u32::MAX - u32::MAX % bound;
        loop {
            let mut word = [0; 4];
            self.0.apply_keystream(&mut word);
            let word = u32::from_le_bytes(word);
            if word < zone {
                return word % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_pinned_and_a_permutation() {
        let beacon = Beacon([3; 32]);
        let election = Election::draw(&beacon, Epoch(0), Round(5), 7, 5);
        let order: Vec<u16> = election.order.iter().map(|m| m.0).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        assert_eq!(election.committee().len(), 5);
        assert_eq!(election.proposer(View(0)), election.proposer(View(7)));
        assert!(election.in_committee(election.proposer(View(4))));
        assert!(!election.in_committee(election.proposer(View(5))));
        insta::assert_compact_debug_snapshot!(order);
    }

    #[test]
    fn every_member_is_first_about_equally_often() {
        let mut first = [0_u32; 5];
        for round in 0..5000 {
            let election = Election::draw(&Beacon([9; 32]), Epoch(1), Round(round), 5, 3);
            first[election.proposer(View(0)).position()] += 1;
        }
        // 1000 each with a standard deviation of 28.
        assert!(first.iter().all(|&count| (830..1170).contains(&count)), "{first:?}");
    }
}
