//! Sets of answers to try when more are wrong than decoding can locate.

use crate::partial_decrypt::PartialDecryption;

/// Sets of answers tried before giving up: all of them up to n = 16 (4,368 with a threshold of 11).
pub(crate) const MAX_SETS_TRIED: u64 = 5_000;

/// Sets of positions: all sets of `size` among `count` in lexicographic order if there are at most
/// [`MAX_SETS_TRIED`] of them, otherwise that many, drawn from a digest of the answers.
///
/// Drawn sets may repeat. Everybody who has the same answers tries the same sets; a member that
/// grinds its answer for a bad draw only changes the odds of a search that has no guarantee.
pub(crate) struct Subsets {
    count: usize,
    left: u64,
    next: Vec<usize>,
    stream: Option<blake3::OutputReader>,
}

impl Subsets {
    /// `hasher` is bound to round and use.
    pub(crate) fn new(
        mut hasher: blake3::Hasher,
        answers: &[&PartialDecryption],
        size: usize,
    ) -> Self {
        let count = answers.len();
        let number = number_of_sets(count, size);
        let mut stream = None;
        if number > MAX_SETS_TRIED {
            for answer in answers {
                hasher.update(&answer.member.get().to_le_bytes());
                answer.values.iter().for_each(|v| {
                    hasher.update(&v.to_le_bytes());
                });
            }
            stream = Some(hasher.finalize_xof());
        }
        Self { count, left: number.min(MAX_SETS_TRIED), next: (0..size).collect(), stream }
    }

    /// A set of positions by the first steps of a shuffle, ascending.
    fn draw(count: usize, size: usize, stream: &mut blake3::OutputReader) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..count).collect();
        for i in 0..size {
            let mut word = [0; 8];
            stream.fill(&mut word);
            // At most 700 positions: the bias of the remainder is below 2^-54.
            positions.swap(i, i + (u64::from_le_bytes(word) % (count - i) as u64) as usize);
        }
        positions.truncate(size);
        positions.sort_unstable();
        positions
    }
}

impl Iterator for Subsets {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        self.left = self.left.checked_sub(1)?;
        if let Some(stream) = &mut self.stream {
            return Some(Self::draw(self.count, self.next.len(), stream));
        }
        let set = self.next.clone();
        advance(&mut self.next, self.count);
        Some(set)
    }
}

/// Sets of `size` among `count`, or a number above [`MAX_SETS_TRIED`].
fn number_of_sets(count: usize, size: usize) -> u64 {
    if size == 0 || size > count {
        return 0;
    }
    let mut number = 1u64;
    for i in 0..size.min(count - size) {
        number = number * (count - i) as u64 / (i as u64 + 1);
        if number > MAX_SETS_TRIED {
            return number;
        }
    }
    number
}

/// The next set of positions below `count` in lexicographic order; the last one stays.
fn advance(positions: &mut [usize], count: usize) {
    let size = positions.len();
    let Some(i) = (0..size).rev().find(|&i| positions[i] < count - size + i) else { return };
    positions[i] += 1;
    for j in i + 1..size {
        positions[j] = positions[j - 1] + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::SetId;
    use crate::sharing::ShareIndex;

    fn answers(count: u16) -> Vec<PartialDecryption> {
        let answer = |position| PartialDecryption {
            member: ShareIndex::from_position(position),
            set: SetId::new([0; 32]),
            values: vec![],
        };
        (0..count).map(answer).collect()
    }

    fn subsets(count: u16, size: usize) -> Vec<Vec<usize>> {
        let answers = answers(count);
        let answers: Vec<_> = answers.iter().collect();
        Subsets::new(blake3::Hasher::new(), &answers, size).collect()
    }

    #[test]
    fn few_sets_are_all_visited_once() {
        for (count, size, number) in [(6, 3, 20), (16, 11, 4368), (4, 4, 1), (3, 4, 0), (3, 0, 0)] {
            let seen = subsets(count, size);
            assert_eq!(seen.len(), number, "{count} {size}");
            assert!(seen.windows(2).all(|w| w[0] < w[1]));
        }
    }

    #[test]
    fn many_sets_are_drawn_alike_by_all_and_from_everywhere() {
        let seen = subsets(100, 67);
        assert_eq!(seen, subsets(100, 67));
        assert_eq!(seen.len() as u64, MAX_SETS_TRIED);
        let mut used = [0; 100];
        for set in &seen {
            assert!(set.len() == 67 && set.windows(2).all(|w| w[0] < w[1]) && set[66] < 100);
            set.iter().for_each(|&p| used[p] += 1);
        }
        // 5,000 draws with probability 0.67 each: 3,350 with a deviation of 33.
        assert!(used.iter().all(|&times| (3_100..3_600).contains(&times)), "{used:?}");
    }
}
