//! A rendered example: one text, the parts of it that are learned, and the tokens of both.

use std::ops::Range;

use serde::Serialize;

use super::first::FirstTokens;
use super::tokenizer::TextTokenizer;
use crate::Result;
use crate::model::TokenSequence;

/// A piece of rendered text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Whether its tokens carry a loss.
    pub labelled: bool,
}

/// An example, or a part of one that ends with an answer, as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The whole text. It is tokenised at once, because separate pieces would give other tokens.
    pub text: String,
    /// Bytes of the text that carry a loss, in order, not overlapping.
    pub learned: Vec<Range<usize>>,
    /// Whether the token that the tokenizer puts before a text is put before this one. A chat
    /// template writes it itself.
    pub begins: bool,
    /// Number of turns of the conversation that this text contains.
    pub turns: usize,
    /// Tokens that end an answer to this text, in addition to those of the tokenizer: what the
    /// template writes behind an answer.
    pub(crate) stops: Vec<u32>,
    /// Byte offset at which the last answer begins.
    pub(super) last_answer: usize,
    /// Whether the template marks what is learned; then transformers' masks decide which tokens
    /// are.
    pub(super) marked: bool,
}

/// An example, or a part of one that ends with an answer, as tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenized {
    /// The first tokens, and which of them carry a loss; empty if none does.
    pub sequence: TokenSequence,
    /// Whether anything was cut off.
    pub is_cut: bool,
    /// Number of tokens before the cut, if the whole text was tokenised on the way.
    pub uncut: Option<usize>,
    /// Number of turns of the conversation that this text contains.
    pub turns: usize,
}

impl Rendered {
    /// The first `limit` tokens, or all. A token carries a loss if any part of its text does, as in
    /// the masks of transformers.
    ///
    /// # Errors
    /// An error of the tokenizer; a token that the model has no embedding for.
    pub fn tokenize(&self, tokenizer: &TextTokenizer, limit: usize) -> Result<Tokenized> {
        let before = self.before(tokenizer).map_or(0, |_| 1);
        let first = tokenizer.first_tokens(&self.text, limit.saturating_sub(before))?;
        self.label(first, tokenizer)
    }

    /// As [`Self::tokenize`], for a text that begins with a prompt: the loss starts where the
    /// tokens of the text diverge from those of the prompt, as in TRL.
    pub(super) fn tokenize_behind(
        &self,
        prompt: &str,
        tokenizer: &TextTokenizer,
        limit: usize,
    ) -> Result<Tokenized> {
        let before = self.before(tokenizer).map_or(0, |_| 1);
        let limit = limit.saturating_sub(before);
        let first = tokenizer.first_tokens(&self.text, limit)?;
        let prompt = tokenizer.encode_first(prompt, limit)?;
        let same = first.ids.iter().zip(&prompt).take_while(|(a, b)| a == b).count();
        let labels = (0..first.ids.len()).map(|at| at >= same).collect();
        let known = (!first.is_whole, first.total);
        self.finish(TokenSequence { labels, ids: first.ids }, known, tokenizer)
    }

    /// As [`Self::tokenize`], with tokens that are already known.
    pub(super) fn label(&self, first: FirstTokens, tokenizer: &TextTokenizer) -> Result<Tokenized> {
        let known = (!first.is_whole, first.total);
        self.finish(first.labelled(&self.learned, self.marked), known, tokenizer)
    }

    fn finish(
        &self,
        mut sequence: TokenSequence,
        (is_cut, total): (bool, Option<usize>),
        tokenizer: &TextTokenizer,
    ) -> Result<Tokenized> {
        let before = self.before(tokenizer);
        let uncut = total.map(|total| total + usize::from(before.is_some()));
        if let Some(id) = before {
            sequence.ids.insert(0, id);
            sequence.labels.insert(0, false);
        }
        tokenizer.check_embedded(&sequence.ids)?;
        // Sequences that lost their learned tokens to the limit are not kept; there may be very
        // many.
        if !sequence.labels.contains(&true) {
            sequence = TokenSequence { ids: Vec::new(), labels: Vec::new() };
        }
        Ok(Tokenized { sequence, is_cut, uncut, turns: self.turns })
    }

    /// Number of tokens: see [`TextTokenizer::count`].
    ///
    /// # Errors
    /// An error of the tokenizer.
    pub fn count(&self, tokenizer: &TextTokenizer) -> Result<usize> {
        Ok(tokenizer.count(&self.text)? + usize::from(self.before(tokenizer).is_some()))
    }

    fn before(&self, tokenizer: &TextTokenizer) -> Option<u32> {
        tokenizer.bos.filter(|_| self.begins)
    }

    /// The first `limit` token ids, or all.
    ///
    /// # Errors
    /// Those of [`Self::tokenize`].
    pub fn ids(&self, tokenizer: &TextTokenizer, limit: usize) -> Result<Vec<u32>> {
        let mut ids: Vec<u32> = self.before(tokenizer).into_iter().collect();
        ids.extend(tokenizer.encode_first(&self.text, limit.saturating_sub(ids.len()))?);
        tokenizer.check_embedded(&ids)?;
        Ok(ids)
    }

    /// The text in pieces that carry a loss and pieces that do not.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut put = |range: Range<usize>, labelled| {
            if let Some(text) = self.text.get(range).filter(|text| !text.is_empty()) {
                segments.push(Segment { text: text.to_owned(), labelled });
            }
        };
        let mut done = 0;
        for learned in &self.learned {
            put(done..learned.start, false);
            put(learned.clone(), true);
            done = learned.end;
        }
        put(done..self.text.len(), false);
        segments
    }
}

impl FirstTokens {
    /// Marks the tokens that overlap one of these parts of the text, which are in ascending order.
    /// Byte-level tokenizers exclude spaces from the range that a token covers. The masks of
    /// transformers do as well, and so does this if `marked`.
    fn labelled(self, learned: &[Range<usize>], marked: bool) -> TokenSequence {
        let mut parts = learned.iter().peekable();
        let mut covered = 0;
        let labels = self.offsets.iter().map(|(start, end)| {
            let start = if marked { *start } else { *start.min(&covered) };
            covered = covered.max(*end);
            while parts.next_if(|part| start >= part.end).is_some() {}
            parts.peek().is_some_and(|part| *end > part.start)
        });
        TokenSequence { labels: labels.collect(), ids: self.ids }
    }
}

/// Builds a text and records which parts of it are learned.
pub(super) struct Writer {
    text: String,
    learned: Vec<Range<usize>>,
    last_answer: Option<usize>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { text: String::new(), learned: Vec::new(), last_answer: None }
    }

    pub(super) fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// An answer, which is learned if `learned`.
    pub(super) fn answer(&mut self, parts: &[&str], learned: bool) {
        let start = self.text.len();
        self.last_answer = Some(start);
        parts.iter().for_each(|part| self.text.push_str(part));
        if learned {
            self.learned.push(start..self.text.len());
        }
    }

    pub(super) fn finish(self, turns: usize) -> Rendered {
        let last_answer = self.last_answer.unwrap_or(self.text.len());
        Rendered {
            text: self.text,
            learned: self.learned,
            begins: true,
            turns,
            stops: Vec::new(),
            last_answer,
            marked: false,
        }
    }
}
