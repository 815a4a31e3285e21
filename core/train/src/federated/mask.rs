//! The shared mask: which coordinates of the trained factors are sent in a round. It depends only
//! on common state and the beacon, so every member computes the same one and no index is ever sent.

use super::schedule::PruneSchedule;
use crate::random::Stream;
use crate::{Result, TrainError};

/// Coordinates sent in a round, as ascending indices into the flat vector of the trained factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    indices: Vec<u32>,
    len: usize,
}

impl Mask {
    /// The mask of all coordinates.
    pub fn full(len: usize) -> Self {
        Self { indices: (0..len as u32).collect(), len }
    }

    /// A mask from stored indices, which ascend, into a vector of `len` values.
    ///
    /// # Errors
    /// If the indices are not ascending or one is out of range.
    pub fn from_indices(indices: Vec<u32>, len: usize) -> Result<Self> {
        let ascending = indices.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || indices.last().is_some_and(|last| *last as usize >= len) {
            return Err(TrainError::Adapter(
                "a stored mask is not ascending or too long".to_owned(),
            ));
        }
        Ok(Self { indices, len })
    }

    /// The coordinates with the highest scores (of equal scores the lower index), and some of the
    /// others drawn uniformly by the beacon. Scores are finite and not negative.
    pub(crate) fn choose(
        schedule: &PruneSchedule,
        applied: u64,
        scores: &[f32],
        beacon: [u8; 32],
    ) -> Self {
        let (by_score, drawn) = schedule.counts(applied, scores.len());
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        if by_score + drawn == order.len() {
            return Self { indices: order, len: scores.len() };
        }
        // The bits of non-negative floats compare as the floats do, and every key is distinct.
        let key = |index: &u32| (u32::MAX - scores[*index as usize].to_bits(), *index);
        if by_score > 0 {
            order.select_nth_unstable_by_key(by_score - 1, key);
        }
        // The selection leaves both parts in an unspecified order, so the rest is sorted first.
        let (chosen, rest) = order.split_at_mut(by_score);
        rest.sort_unstable();
        let mut stream = Stream::new(beacon, "mask");
        for place in 0..drawn {
            let other = place + stream.below((rest.len() - place) as u64) as usize;
            rest.swap(place, other);
        }
        let mut indices = chosen.to_vec();
        indices.extend_from_slice(&rest[..drawn]);
        indices.sort_unstable();
        Self { indices, len: scores.len() }
    }

    /// The indices, ascending.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Number of coordinates sent.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Length of the vector that the mask selects from.
    pub fn dense_len(&self) -> usize {
        self.len
    }

    /// BLAKE3 of the indices: a cheap way for members to check that they use the same mask.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 mask digest");
        hasher.update(&(self.len as u64).to_le_bytes());
        for index in &self.indices {
            hasher.update(&index.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// The values at the mask's coordinates, in the mask's order.
    pub fn gather(&self, dense: &[f32]) -> Vec<f32> {
        self.indices.iter().map(|index| dense[*index as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64, explore: f64) -> PruneSchedule {
        PruneSchedule { explore, ..PruneSchedule::constant(rate) }
    }

    #[test]
    fn highest_scores_are_sent_and_ties_go_to_the_lower_index() {
        let mask = Mask::choose(&schedule(0.5, 0.0), 3, &[1.0, 3.0, 1.0, 1.0, 2.0, 0.0], [0; 32]);
        assert_eq!(mask.indices(), &[0, 1, 4]);
    }

    #[test]
    fn the_beacon_draws_among_the_rest() {
        let scores: Vec<f32> = (0..1000u16).map(f32::from).collect();
        let first = Mask::choose(&schedule(0.9, 0.05), 3, &scores, [1; 32]);
        let second = Mask::choose(&schedule(0.9, 0.05), 3, &scores, [2; 32]);
        assert_eq!(first.len(), 100);
        assert!(first.indices().windows(2).all(|pair| pair[0] < pair[1]));
        assert!(first.indices()[50..].iter().all(|index| *index >= 950));
        assert!(first.indices()[..50].iter().all(|index| *index < 950));
        assert_ne!(first, second);
        assert_eq!(first, Mask::choose(&schedule(0.9, 0.05), 3, &scores, [1; 32]));
    }
}
