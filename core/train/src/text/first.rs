//! The first tokens of a text, without tokenising what follows: the tokenizer needs hundreds of bytes of memory for each
//! byte of text, and of a long text only the beginning is trained on.
//!
//! The text is cut well behind the last token that is wanted, and the tokens next to the cut are not used. A tokenizer
//! decides locally: by the word, where it splits words first, and by the neighbouring merges where it does not. So the
//! tokens in front of them are those of the whole text; `tests` hold that for every kind of tokenizer. The exception is no
//! text: one character from end to end, thousands of times, which Unigram splits by how many there are.

use super::tokenizer::TextTokenizer;
use crate::{Result, TrainError};

/// Text that is tokenised at once whatever is wanted of it.
const FIRST_BYTES: usize = 16 << 10;
/// And for each token that is wanted; words of many languages have fewer bytes a token.
const FIRST_BYTES_PER_TOKEN: usize = 16;
/// How much more each further try takes.
const GROWTH: usize = 4;
/// Text that is tokenised at most. Twice what the longest tokens of known vocabularies, 128 spaces, come to.
const MOST_BYTES: usize = 256 << 10;
const MOST_BYTES_PER_TOKEN: usize = 256;
/// Tokens in front of a cut that may differ from those of the whole text, besides those of an added token.
const MARGIN_TOKENS: usize = 256;
/// Pieces in which tokens are only counted.
const COUNTED_BYTES: usize = 64 << 10;

/// The first tokens of a text.
pub(super) struct FirstTokens {
    pub(super) ids: Vec<u32>,
    /// The bytes of the text that each token covers.
    pub(super) offsets: Vec<(usize, usize)>,
    /// Whether these are all tokens of the text.
    pub(super) is_whole: bool,
}

impl FirstTokens {
    /// Where the text of the last token ends; nothing behind it was looked at.
    pub(super) fn end(&self) -> usize {
        match self.is_whole {
            true => usize::MAX,
            false => self.offsets.iter().map(|(_, end)| *end).max().unwrap_or(0),
        }
    }
}

impl TextTokenizer {
    /// The first `wanted` token ids of `text`, or all of them if it has fewer, as [`Self::encode`] gives them. Memory goes
    /// with `wanted`, not with the text.
    ///
    /// # Errors
    /// What the tokenizer says; or if so much text makes so few tokens that it can be no text.
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
            // Each byte of an added token that was cut may have become a token of its own.
            let margin = MARGIN_TOKENS + self.longest_added;
            if is_whole || ids.len() >= wanted.saturating_add(margin) {
                let is_whole = is_whole && ids.len() <= wanted;
                ids.truncate(wanted);
                offsets.truncate(wanted);
                return Ok(FirstTokens { ids, offsets, is_whole });
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

    /// How many tokens `text` has, in bounded memory. Exact up to 64 KiB; beyond that it may be off by a few for each
    /// further 64 KiB, where a word or an added token is cut.
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

/// At most the first `bytes` of `text`, cut in front of a space behind a word if there is one not far before the end:
/// there every tokenizer that splits at spaces splits, whatever follows.
fn cut(text: &str, bytes: usize) -> &str {
    let end = floor_char_boundary(text, bytes);
    if end == text.len() {
        return text;
    }
    let from = end - end / 4;
    let window = &text.as_bytes()[from..end];
    let word_end = window.windows(2).rposition(|two| two[0] > b' ' && two[1] == b' ');
    // A space is a character of its own, so the place before it is a boundary of characters.
    &text[..word_end.map_or(end, |at| from + at + 1)]
}

/// The last place at or before `bytes` at which a character of `text` begins or the text ends.
pub(crate) fn floor_char_boundary(text: &str, bytes: usize) -> usize {
    if bytes >= text.len() {
        return text.len();
    }
    (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
