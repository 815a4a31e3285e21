//! How data is turned into token sequences.

use std::path::PathBuf;

use super::example::Example;
use super::reading::Reading;
use crate::text::{Template, TextTokenizer, Tokenized};
use crate::valid::fraction;
use crate::{Result, TrainError, Validate};

/// How data is turned into token sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSettings {
    /// Template that renders each example.
    pub template: Template,
    /// Maximum length of a sequence in tokens; longer ones are truncated at the end.
    pub max_length: usize,
    /// Fraction of the examples, in [0, 1), that is held out: choices are made by it.
    pub held_out: f64,
    /// Fraction of the examples, in [0, 1), that is kept for the test: nothing is chosen by it.
    pub test: f64,
    /// How records are read.
    pub reading: Reading,
    /// Whether training examples keep their text with their tokens, for callers that pass it on.
    /// Otherwise the text is empty; held-out examples always keep theirs.
    pub keeps_text: bool,
    /// Folder on whose file system tokens and texts are kept, in a file without a name; `None`: in
    /// memory.
    pub spill: Option<PathBuf>,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            template: Template::Alpaca,
            max_length: 512,
            held_out: 0.1,
            test: 0.0,
            reading: Reading::default(),
            keeps_text: true,
            spill: None,
        }
    }
}

impl Validate for DataSettings {
    type Error = TrainError;

    fn validate(&self) -> Result<()> {
        fraction("held_out", self.held_out)?;
        fraction("test", self.test)?;
        fraction("held_out and test together", self.held_out + self.test)?;
        if self.max_length < 2 {
            return Err(TrainError::setting("max_length", "must be at least 2"));
        }
        Ok(())
    }
}

impl DataSettings {
    /// Tokens and loss masks of an example, truncated to `max_length`, in as many sequences as the
    /// template needs.
    pub(super) fn tokenize(
        &self,
        example: &Example,
        tokenizer: &TextTokenizer,
    ) -> Result<Vec<Tokenized>> {
        self.template.tokenize(example, tokenizer, self.max_length)
    }

    /// Length in tokens of the longest sequence of a truncated example before truncation.
    pub(super) fn full_length(
        &self,
        example: &Example,
        tokenizer: &TextTokenizer,
    ) -> Result<usize> {
        let longest = self.template.longest(example, tokenizer, self.max_length)?;
        Ok(longest.count(tokenizer)?.max(self.max_length.saturating_add(1)))
    }
}
