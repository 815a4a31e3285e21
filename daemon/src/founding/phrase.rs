//! A manifest's digest as 24 words that organisations read out to each other: BIP-39, English, 256
//! bits and a checksum of 8.

use bip39::{Language, Mnemonic};
use fedshield_protocol::ids::ManifestDigest;

/// The number of words in a phrase.
const WORDS: usize = 24;
/// Longest text that is parsed as a phrase, in characters.
const MAX_TEXT_CHARS: usize = 1024;

/// The words of `digest`, separated by spaces.
#[must_use]
pub fn phrase_of(digest: &ManifestDigest) -> String {
    // BIP-39 allows an entropy of 32 bytes, so this does not fail.
    Mnemonic::from_entropy(digest.as_bytes()).map(|it| it.to_string()).unwrap_or_default()
}

/// Why words are not the phrase of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Too few or too many words.
    #[error("a phrase has {WORDS} words, and these are {0}")]
    Count(usize),
    /// A word that is not in the word list.
    #[error(
        "word {place} of the phrase, `{word}`, is not in the word list: it was mistyped or misheard"
    )]
    Word {
        /// Its place, counted from 1.
        place: usize,
        /// The word as typed.
        word: String,
    },
    /// Words of the list whose checksum does not match.
    #[error(
        "the words do not go together (their checksum does not match): some were mistyped, misheard or swapped; the first \
         that differs from the phrase here is word {place}"
    )]
    Checksum {
        /// Its place, counted from 1.
        place: usize,
    },
    /// The phrase of another list.
    #[error(
        "this is the phrase of another list than the one that this node was shown: they differ from word {place} on"
    )]
    Other {
        /// Its place, counted from 1.
        place: usize,
    },
}

/// Checks that `said`, as typed, is the phrase of `digest`. Capitals, line breaks, commas and
/// numbers between the words are ignored.
///
/// # Errors
/// What is wrong with the words.
pub(super) fn compare(said: &str, digest: &ManifestDigest) -> Result<(), PhraseError> {
    let separates = |c: char| !c.is_alphabetic();
    let text: String = said.chars().take(MAX_TEXT_CHARS).collect();
    let said: Vec<String> =
        text.split(separates).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    if let Some(at) = said.iter().position(|word| Language::English.find_word(word).is_none()) {
        let word = said.get(at).cloned().unwrap_or_default();
        return Err(PhraseError::Word { place: at + 1, word });
    }
    if said.len() != WORDS {
        return Err(PhraseError::Count(said.len()));
    }
    let wanted = phrase_of(digest);
    let differs = wanted.split(' ').zip(&said).position(|(wanted, said)| wanted != said);
    let Some(at) = differs else { return Ok(()) };
    let place = at + 1;
    Err(match Mnemonic::parse_in_normalized(Language::English, &said.join(" ")) {
        Ok(_) => PhraseError::Other { place },
        Err(_) => PhraseError::Checksum { place },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: ManifestDigest = ManifestDigest([0x5a; 32]);

    #[test]
    fn a_digest_has_one_phrase_and_each_of_its_bits_is_in_it() {
        let zeroes = phrase_of(&ManifestDigest([0; 32]));
        assert!(zeroes.starts_with("abandon abandon") && zeroes.ends_with("abandon art"));
        let phrase = phrase_of(&DIGEST);
        assert_eq!(phrase.split(' ').count(), WORDS);
        for bit in 0..256 {
            let mut other = DIGEST;
            other.0[bit / 8] ^= 1 << (bit % 8);
            let said = phrase_of(&other);
            assert!(matches!(compare(&said, &DIGEST), Err(PhraseError::Other { .. })), "{said}");
        }
    }

    #[test]
    fn a_phrase_is_taken_as_people_write_it() {
        let phrase = phrase_of(&DIGEST);
        let lines: String = phrase
            .split(' ')
            .zip(1..)
            .map(|(word, n)| format!("{n:2}. {}\r\n", word.to_uppercase()))
            .collect();
        for said in [phrase.clone(), format!("  {phrase}\n"), phrase.replace(' ', ", "), lines] {
            assert_eq!(compare(&said, &DIGEST), Ok(()), "{said}");
        }
    }

    #[test]
    fn every_way_to_be_wrong_has_its_own_words() {
        let phrase = phrase_of(&DIGEST);
        let words: Vec<&str> = phrase.split(' ').collect();
        assert_eq!(compare("", &DIGEST), Err(PhraseError::Count(0)));
        assert_eq!(compare(&words[..23].join(" "), &DIGEST), Err(PhraseError::Count(23)));
        assert_eq!(compare(&format!("{phrase} abandon"), &DIGEST), Err(PhraseError::Count(25)));
        let typo = phrase.replacen(words[4], "abandn", 1);
        let wrong = compare(&typo, &DIGEST).unwrap_err();
        assert!(matches!(wrong, PhraseError::Word { .. }), "{wrong}");
        let mut swapped = words.clone();
        swapped.swap(2, 3);
        assert_eq!(compare(&swapped.join(" "), &DIGEST), Err(PhraseError::Checksum { place: 3 }));
        let long = "abandon ".repeat(100_000);
        assert!(compare(&long, &DIGEST).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_compared_without_a_panic(text in ".{0,300}") {
            prop_assert!(compare(&text, &DIGEST).is_err());
        }
    }
}
