//! One example on its way into a data set.

use std::sync::Arc;

use super::example::Example;
use super::packed::PackedSequence;
use super::part::Part;
use super::records::Record;
use super::settings::DataSettings;
use crate::text::{TextTokenizer, Tokenized};
use crate::{Result, Valid};

/// Bytes of text kept of an example, as a fixed amount and for each token of the longest sequence.
/// This is far more than is trained on: only text that is never used is dropped.
const KEPT_BYTES: usize = 64 << 10;
const KEPT_BYTES_PER_TOKEN: usize = 256;

/// What is kept of an example's text.
pub(super) enum Kept {
    Nothing,
    Example(Arc<Example>),
    /// The record as it was read.
    Record(Vec<u8>),
}

impl Kept {
    pub(super) fn record(record: &Record, is_kept: bool) -> Self {
        match &record.text {
            Ok(text) if is_kept => Self::Record(text.clone()),
            _ => Self::Nothing,
        }
    }

    pub(super) fn example(example: Example, is_kept: bool, settings: &Valid<DataSettings>) -> Self {
        let kept = KEPT_BYTES + KEPT_BYTES_PER_TOKEN.saturating_mul(settings.max_length);
        match is_kept {
            true if example.text_bytes() > kept => Self::Example(Arc::new(example.shortened(kept))),
            true => Self::Example(Arc::new(example)),
            false => Self::Nothing,
        }
    }
}

/// One example on its way into a data set.
pub(super) struct Ready {
    /// The sequences of the example, as many as the template needs, with their turns. All are in
    /// the same part of the data.
    pub(super) parts: Vec<(usize, PackedSequence)>,
    pub(super) is_cut: bool,
    pub(super) part: Part,
    pub(super) digest: [u8; 32],
    pub(super) unknown: Vec<String>,
    pub(super) text: Kept,
}

impl Ready {
    pub(super) fn new(
        example: &Example,
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
    ) -> Result<Self> {
        let tokenized = settings.tokenize(example, tokenizer)?;
        let is_cut = tokenized.iter().any(|part| part.is_cut);
        let learned = tokenized.into_iter().filter(|part| part.sequence.label_count() > 0);
        let pack = |part: Tokenized| (part.turns, PackedSequence::new(&part.sequence));
        let (unknown, text) = (Vec::new(), Kept::Nothing);
        let digest = example.digest();
        let part = Part::of(&digest, settings.held_out, settings.test);
        Ok(Self { parts: learned.map(pack).collect(), is_cut, part, digest, unknown, text })
    }
}
