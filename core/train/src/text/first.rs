//! The first tokens of a text, without tokenising the rest: the tokenizer needs hundreds of bytes
//! of memory for each byte of text, and only the beginning of a long text is trained on.
//!
//! The text is cut well behind the last wanted token, and the tokens next to the cut are discarded.
//! A tokenizer decides locally: word by word where it splits words first, and by neighbouring
//! merges where it does not. So the tokens before them are those of the whole text; the tests check
//! that for every kind of tokenizer. The exception is not ordinary text: a single character
//! repeated thousands of times, which Unigram splits depending on the number of repetitions.

use super::tokenizer::TextTokenizer;
use crate::{Result, TrainError};

/// Bytes of text that are tokenised in the first attempt, however few tokens are wanted.
const FIRST_BYTES: usize = 16 << 10;
/// Further bytes for each wanted token; words of many languages have fewer bytes per token.
const FIRST_BYTES_PER_TOKEN: usize = 16;
/// Factor by which each further attempt is longer.
const GROWTH: usize = 4;
/// Most bytes of text that are tokenised: twice what the longest tokens of known vocabularies (128
/// spaces) need.
const MOST_BYTES: usize = 256 << 10;
const MOST_BYTES_PER_TOKEN: usize = 256;
/// Tokens before a cut that may differ from those of the whole text, in addition to the bytes of an
/// added token.
const MARGIN_TOKENS: usize = 256;
/// Size in bytes of the pieces in which tokens are only counted.
const COUNTED_BYTES: usize = 64 << 10;

/// The first tokens of a text.
pub(super) struct FirstTokens {
    pub(super) ids: Vec<u32>,
    /// The bytes of the text that each token covers.
    pub(super) offsets: Vec<(usize, usize)>,
    /// Whether these are all tokens of the text.
    pub(super) is_whole: bool,
    /// Number of tokens of the whole text, if all of it was tokenised on the way.
    pub(super) total: Option<usize>,
}

impl FirstTokens {
    /// Where the text of the last token ends; the text behind it was not examined.
    pub(super) fn end(&self) -> usize {
        match self.is_whole {
            true => usize::MAX,
            false => self.offsets.iter().map(|(_, end)| *end).max().unwrap_or(0),
        }
    }
}

impl TextTokenizer {
    /// The first `wanted` token ids of `text`, or all of them if it has fewer, as [`Self::encode`]
    /// gives them. Memory is proportional to `wanted`, not to the text.
    ///
    /// # Errors
    /// An error of the tokenizer; text that gives too few tokens for its length to be readable
    /// text.
    pub fn encode_first(&self, text: &str, wanted: usize) -> Result<Vec<u32>> {
        Ok(self.first_tokens(text, wanted)?.ids)
    }

    /// As [`Self::encode_first`], with the bytes that each token covers.
    pub(super) fn first_tokens(&self, text: &str, wanted: usize) -> Result<FirstTokens> {
        let scaled =
            |bytes: usize, per_token: usize| bytes.saturating_add(wanted.saturating_mul(per_token));
        let most = scaled(MOST_BYTES, MOST_BYTES_PER_TOKEN);
        let mut bytes = scaled(FIRST_BYTES, FIRST_BYTES_PER_TOKEN);
        loop {
            let piece = cut(text, bytes);
            let (mut ids, mut offsets) = self.encode_with_offsets(piece)?;
            let is_whole = piece.len() == text.len();
            // Each byte of an added token that was cut may be a token of its own.
            let margin = MARGIN_TOKENS + self.longest_added;
            if is_whole || ids.len() >= wanted.saturating_add(margin) {
                let total = is_whole.then_some(ids.len());
                let is_whole = is_whole && ids.len() <= wanted;
                ids.truncate(wanted);
                offsets.truncate(wanted);
                return Ok(FirstTokens { ids, offsets, is_whole, total });
            }
            if bytes >= most {
                return Err(TrainError::Tokenizer(format!(
                    "{} KiB of text make {} tokens: this is no text that the model's tokenizer can read",
                    piece.len() >> 10,
                    ids.len()
                )));
            }
            bytes = bytes.saturating_mul(GROWTH).min(most);
        }
    }

    /// Number of tokens of `text`, in bounded memory. It is exact up to 64 KiB; beyond that it may
    /// be off by a few tokens for each further 64 KiB, where a word or an added token is cut.
    pub fn count(&self, text: &str) -> Result<usize> {
        let (mut rest, mut count) = (text, 0);
        while !rest.is_empty() {
            let piece = cut(rest, COUNTED_BYTES);
            count += self.encode(piece)?.len();
            rest = &rest[piece.len()..];
        }
        Ok(count)
    }
}

/// At most the first `bytes` of `text`, cut before a space that follows a word if there is one
/// shortly before the end: every tokenizer that splits at spaces splits there, whatever follows.
fn cut(text: &str, bytes: usize) -> &str {
    let end = floor_char_boundary(text, bytes);
    if end == text.len() {
        return text;
    }
    let from = end - end / 4;
    let window = &text.as_bytes()[from..end];
    let word_end = window.windows(2).rposition(|two| two[0] > b' ' && two[1] == b' ');
    // A space is a single-byte character, so the position before it is a character boundary.
    &text[..word_end.map_or(end, |at| from + at + 1)]
}

/// The last character boundary of `text` at or before `bytes`.
pub(crate) fn floor_char_boundary(text: &str, bytes: usize) -> usize {
    if bytes >= text.len() {
        return text.len();
    }
    (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
