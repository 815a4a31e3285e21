//! Invented names of people, so many that each occurs about once: whoever answers with the right
//! one has copied it from the question, because nothing could have been learned by heart.

use super::choice::Choice;

const ONSETS: &[&str] = &[
    "B", "Br", "D", "Dr", "F", "G", "Gr", "H", "J", "K", "Kr", "L", "M", "N", "P", "R", "S", "St",
    "T", "Tr", "V", "W",
];
const MIDDLES: &[&str] =
    &["d", "k", "l", "m", "n", "r", "s", "t", "v", "nd", "rt", "st", "lm", "rn"];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u"];
const FIRST_ENDS: &[&str] = &["a", "e", "o", "in", "an", "is", "el", "us"];
const LAST_ENDS: &[&str] = &["er", "ski", "ini", "sen", "mann", "ov", "ard", "ell", "ow", "ez"];

/// Which names a text may use. The two halves share none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// Of the corpus, on which the base model is trained.
    Corpus,
    /// Of the organisations' data.
    Organisations,
}

/// A first name and a family name.
pub(super) fn person(half: Half, choice: &mut Choice) -> String {
    format!("{} {}", first(half, choice), last(half, choice))
}

/// A first name.
pub(super) fn first(half: Half, choice: &mut Choice) -> String {
    name(1, FIRST_ENDS, half, choice)
}

/// A family name.
pub(super) fn last(half: Half, choice: &mut Choice) -> String {
    name(2, LAST_ENDS, half, choice)
}

/// A beginning, one to `middles` syllables and an ending.
fn name(middles: usize, ends: &[&str], half: Half, choice: &mut Choice) -> String {
    choice.until(|choice| {
        let mut name = (*choice.pick(ONSETS)).to_owned();
        for _ in 0..choice.between(1, middles) {
            name += choice.pick::<&str>(VOWELS);
            name += choice.pick::<&str>(MIDDLES);
        }
        name += choice.pick::<&str>(ends);
        Some(name).filter(|name| Half::of(name) == half)
    })
}

impl Half {
    /// The half that a name belongs to.
    pub(super) fn of(name: &str) -> Self {
        let sum = name.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
        if (sum >> 3).is_multiple_of(2) { Self::Corpus } else { Self::Organisations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_halves_share_no_name_and_names_hardly_ever_repeat() {
        let mut choice = Choice::new(1);
        let mut draw =
            |half| -> Vec<String> { (0..4000).map(|_| last(half, &mut choice)).collect() };
        let (corpus, organisations) = (draw(Half::Corpus), draw(Half::Organisations));
        let seen: HashSet<&String> = corpus.iter().collect();
        assert!(organisations.iter().all(|name| !seen.contains(name)));
        assert!(seen.len() > 3600, "{} of 4000 differ", seen.len());
    }
}
