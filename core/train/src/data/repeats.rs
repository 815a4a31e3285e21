//! Finds repeated examples, with 24 bytes per example, sorted in place.

use rayon::prelude::*;

use super::reading::NAMED;
use super::report::{Place, Repeat};

/// A usable example. There may be many millions.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    /// Digest of its whole content, and of its question.
    pub(super) example: u64,
    pub(super) question: u64,
    pub(super) number: u32,
    /// Twice the index of its file, plus one if it is not trained on.
    file: u32,
}

impl Kept {
    pub(super) fn new(file: usize, number: usize, apart: bool, digests: [u64; 2]) -> Self {
        let [example, question] = digests;
        let file = short(file).saturating_mul(2) | u32::from(apart);
        Self { example, question, number: short(number), file }
    }

    pub(super) fn is_apart(&self) -> bool {
        self.file & 1 == 1
    }

    /// Sort key: the order of reading, training examples before all held-out ones.
    fn place(&self) -> (bool, u32, u32) {
        (self.is_apart(), self.file, self.number)
    }
}

/// Counts are stored in four bytes and saturate.
fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The repetitions that were found.
#[derive(Default)]
pub(super) struct Repeats {
    /// Training examples that repeat an earlier one.
    pub(super) duplicates: usize,
    /// Held-out examples that also occur among the training examples.
    pub(super) leaked: usize,
    /// Held-out examples of which only the question occurs among the training examples.
    pub(super) leaked_questions: usize,
    /// The first pairs of each kind.
    duplicates_first: Vec<[Kept; 2]>,
    leaked_first: Vec<[Kept; 2]>,
}

impl Repeats {
    /// Finds all repetitions; `kept` is sorted in the process.
    pub(super) fn find(kept: &mut [Kept]) -> Self {
        let mut repeats = Self::default();
        kept.par_sort_unstable_by_key(|kept| (kept.example, kept.place()));
        for same in kept.chunk_by_mut(|a, b| a.example == b.example) {
            let Some((first, others)) = same.split_first_mut() else { continue };
            if first.is_apart() {
                continue;
            }
            for other in others {
                if other.is_apart() {
                    repeats.leaked += 1;
                    note(&mut repeats.leaked_first, [*first, *other]);
                    // So that it is not found again by its question: no training example has this
                    // one.
                    other.question = !first.question;
                } else {
                    repeats.duplicates += 1;
                    note(&mut repeats.duplicates_first, [*first, *other]);
                }
            }
        }
        kept.par_sort_unstable_by_key(|kept| (kept.question, kept.place()));
        for same in kept.chunk_by(|a, b| a.question == b.question) {
            let Some((first, others)) = same.split_first() else { continue };
            if first.is_apart() {
                continue;
            }
            for other in others.iter().filter(|other| other.is_apart()) {
                repeats.leaked_questions += 1;
                note(&mut repeats.leaked_first, [*first, *other]);
            }
        }
        repeats
    }

    /// The first training examples that repeat an earlier one.
    pub(super) fn duplicates_first(&self, place: impl Fn(usize, u32) -> Place) -> Vec<Repeat> {
        named(&self.duplicates_first, place)
    }

    /// The first held-out examples that, or whose question, occur among the training examples.
    pub(super) fn leaked_first(&self, place: impl Fn(usize, u32) -> Place) -> Vec<Repeat> {
        named(&self.leaked_first, place)
    }
}

/// Keeps the first pairs, in the order of the later example of each.
fn note(first: &mut Vec<[Kept; 2]>, pair: [Kept; 2]) {
    let at = first.partition_point(|other| other[1].place() < pair[1].place());
    if at < NAMED {
        first.insert(at, pair);
        first.truncate(NAMED);
    }
}

fn named(pairs: &[[Kept; 2]], place: impl Fn(usize, u32) -> Place) -> Vec<Repeat> {
    let of = |kept: &Kept| place(kept.file as usize / 2, kept.number);
    pairs.iter().map(|[first, again]| Repeat { first: of(first), again: of(again) }).collect()
}
