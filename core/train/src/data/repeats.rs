//! Which examples say the same: 24 bytes for each example, sorted where they lie.

use rayon::prelude::*;

use super::reading::NAMED;
use super::report::{Place, Repeat};

/// One example that can be used. There may be many millions.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    /// Digest of all that it says, and of what it asks.
    pub(super) example: u64,
    pub(super) question: u64,
    pub(super) number: u32,
    /// Twice the index of its file, and one more if it is held out.
    file: u32,
}

impl Kept {
    pub(super) fn new(file: usize, number: usize, held_out: bool, digests: [u64; 2]) -> Self {
        let [example, question] = digests;
        let file = short(file).saturating_mul(2) | u32::from(held_out);
        Self { example, question, number: short(number), file }
    }

    pub(super) fn is_held_out(&self) -> bool {
        self.file & 1 == 1
    }

    /// In the order of reading, those to train on before all that are held out.
    fn place(&self) -> (bool, u32, u32) {
        (self.is_held_out(), self.file, self.number)
    }
}

/// Four bytes are enough for what is counted here.
fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What repeats what.
#[derive(Default)]
pub(super) struct Repeats {
    /// Examples to train on that stand there before.
    pub(super) duplicates: usize,
    /// Held-out examples that are trained on.
    pub(super) leaked: usize,
    /// Held-out examples whose question alone is trained on.
    pub(super) leaked_questions: usize,
    /// The first pairs of both kinds.
    duplicates_first: Vec<[Kept; 2]>,
    leaked_first: Vec<[Kept; 2]>,
}

impl Repeats {
    /// Sorts `kept` on the way.
    pub(super) fn find(kept: &mut [Kept]) -> Self {
        let mut repeats = Self::default();
        kept.par_sort_unstable_by_key(|kept| (kept.example, kept.place()));
        for same in kept.chunk_by_mut(|a, b| a.example == b.example) {
            let Some((first, others)) = same.split_first_mut() else { continue };
            if first.is_held_out() {
                continue;
            }
            for other in others {
                if other.is_held_out() {
                    repeats.leaked += 1;
                    note(&mut repeats.leaked_first, [*first, *other]);
                    // It is found once: no example to train on has this question.
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
            if first.is_held_out() {
                continue;
            }
            for other in others.iter().filter(|other| other.is_held_out()) {
                repeats.leaked_questions += 1;
                note(&mut repeats.leaked_first, [*first, *other]);
            }
        }
        repeats
    }

    /// The first examples that stand there before.
    pub(super) fn duplicates_first(&self, place: impl Fn(usize, u32) -> Place) -> Vec<Repeat> {
        named(&self.duplicates_first, place)
    }

    /// The first held-out examples that are trained on, or whose question is.
    pub(super) fn leaked_first(&self, place: impl Fn(usize, u32) -> Place) -> Vec<Repeat> {
        named(&self.leaked_first, place)
    }
}

/// Keeps the first pairs, by where the later of the two stands.
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
