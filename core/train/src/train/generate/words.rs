//! Incremental decoding. A character may take several tokens, and the text of a token may depend on
//! the one before it, so a piece is emitted only when the text so far ends with a whole character.

use crate::Result;
use crate::text::TextTokenizer;

/// The tokens of an answer, and the part of its text that has been emitted.
pub(super) struct Words<'a> {
    tokenizer: &'a TextTokenizer,
    ids: Vec<u32>,
    /// Tokens from here on are decoded again with each new token.
    from: usize,
    /// The text of tokens `from` to `read` has been emitted.
    read: usize,
    given: String,
}

impl<'a> Words<'a> {
    pub(super) fn new(tokenizer: &'a TextTokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), from: 0, read: 0, given: String::new() }
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Adds a token; returns the text that has become complete.
    pub(super) fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let before = self.tokenizer.decode(&self.ids[self.from..self.read], false)?;
        let now = self.tokenizer.decode(&self.ids[self.from..], false)?;
        // The replacement character: the last character is still incomplete.
        let piece = match now.strip_prefix(before.as_str()) {
            Some(piece) if !piece.is_empty() && !now.ends_with('\u{fffd}') => piece.to_owned(),
            _ => return Ok(String::new()),
        };
        (self.from, self.read) = (self.read, self.ids.len());
        self.given.push_str(&piece);
        Ok(piece)
    }

    /// The whole text, and the part of it that has not been emitted.
    pub(super) fn finish(self) -> Result<(String, String)> {
        let text = self.tokenizer.decode(&self.ids, false)?;
        let rest = text.strip_prefix(self.given.as_str()).unwrap_or_default().to_owned();
        Ok((text, rest))
    }
}
