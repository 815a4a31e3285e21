//! Data sets: reading, splitting, tokenising, and the order in which examples are trained on.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::example::Example;
use crate::model::TokenSequence;
use crate::random::Stream;
use crate::text::{Template, TextTokenizer, tokenize};
use crate::{Result, TrainError};

/// How data is turned into sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSettings {
    /// Template that renders each example.
    pub template: Template,
    /// Longest sequence in tokens; longer ones lose their end.
    pub max_length: usize,
    /// Fraction of the examples, in [0, 1), that is kept for evaluation.
    pub held_out: f64,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self { template: Template::Alpaca, max_length: 512, held_out: 0.1 }
    }
}

/// An example with its tokens.
#[derive(Clone, Debug)]
pub struct TokenizedExample {
    /// The example.
    pub example: Example,
    /// Its tokens and loss mask.
    pub sequence: TokenSequence,
}

/// Tokenised examples, split into training and held-out ones. Nothing of it leaves home.
#[derive(Clone, Debug, Default)]
pub struct DataSet {
    /// Examples to train on.
    pub train: Vec<TokenizedExample>,
    /// Examples to evaluate on.
    pub held_out: Vec<TokenizedExample>,
    /// Examples that lost their end to `max_length`.
    pub truncated: usize,
    /// Examples left out because truncation took their whole answer.
    pub dropped: usize,
}

impl DataSet {
    /// Reads and tokenises JSONL files.
    pub fn load(
        paths: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &DataSettings,
    ) -> Result<Self> {
        settings.check()?;
        let mut set = Self::default();
        for path in paths {
            for (line, example) in read_examples(path)? {
                set.add(example?, tokenizer, settings).map_err(at_line(path, line))?;
            }
        }
        if set.train.is_empty() {
            let path = paths.first().map_or(Path::new("data"), PathBuf::as_path);
            let reason = match set.dropped {
                0 => "no example to train on".to_owned(),
                dropped => format!(
                    "no example to train on: {dropped} lost their whole answer to the limit of {} tokens",
                    settings.max_length
                ),
            };
            return Err(TrainError::data(path, 0, reason));
        }
        Ok(set)
    }

    /// Tokenises examples that are already in memory.
    pub fn new(
        examples: Vec<Example>,
        tokenizer: &TextTokenizer,
        settings: &DataSettings,
    ) -> Result<Self> {
        settings.check()?;
        let mut set = Self::default();
        for example in examples {
            set.add(example, tokenizer, settings)?;
        }
        Ok(set)
    }

    fn add(
        &mut self,
        example: Example,
        tokenizer: &TextTokenizer,
        settings: &DataSettings,
    ) -> Result<()> {
        let (sequence, full_length) = settings.sequence(&example, tokenizer)?;
        self.truncated += usize::from(full_length > sequence.ids.len());
        if sequence.label_count() == 0 {
            self.dropped += 1;
            return Ok(());
        }
        let held_out = is_held_out(&example, settings.held_out);
        let tokenized = TokenizedExample { example, sequence };
        if held_out {
            self.held_out.push(tokenized)
        } else {
            self.train.push(tokenized)
        }
        Ok(())
    }
}

impl DataSettings {
    /// Fails on the first setting that cannot work.
    pub(super) fn check(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.held_out) {
            return Err(TrainError::setting("held_out", "must be at least 0 and below 1"));
        }
        if self.max_length < 2 {
            return Err(TrainError::setting("max_length", "must be at least 2"));
        }
        Ok(())
    }

    /// Tokens and loss mask of an example, cut to `max_length`, and the length before the cut.
    pub(super) fn sequence(
        &self,
        example: &Example,
        tokenizer: &TextTokenizer,
    ) -> Result<(TokenSequence, usize)> {
        let mut sequence = tokenize(tokenizer, &self.template.render(example, tokenizer)?)?;
        let full_length = sequence.ids.len();
        sequence.ids.truncate(self.max_length);
        sequence.labels.truncate(self.max_length);
        Ok((sequence, full_length))
    }
}

/// Names the line that an error comes from, unless the error names one already.
pub(super) fn at_line(path: &Path, line: usize) -> impl Fn(TrainError) -> TrainError + '_ {
    move |error| match error {
        named @ TrainError::Data { .. } => named,
        other => TrainError::data(path, line, other.to_string()),
    }
}

/// Decides by the example's content alone, so that an example stays on its side whatever else is in
/// the file.
pub fn is_held_out(example: &Example, fraction: f64) -> bool {
    let digest = example.digest();
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    ((u64::from_le_bytes(word) >> 11) as f64 / (1u64 << 53) as f64) < fraction
}

/// Reads the examples of a JSONL file; empty lines are skipped.
///
/// # Errors
/// The first line that cannot be used; a file without examples.
pub fn read_jsonl(path: &Path) -> Result<Vec<Example>> {
    read_examples(path)?.into_iter().map(|(_, example)| example).collect()
}

/// Each line of a JSONL file that is not empty: its number, counted from 1, and its example or what is wrong with it.
///
/// # Errors
/// If the file cannot be read or has no such line.
pub(super) fn read_examples(path: &Path) -> Result<Vec<(usize, Result<Example>)>> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let mut examples = Vec::new();
    let mut bytes = Vec::new();
    let mut reader = BufReader::new(file);
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(TrainError::io(path))? == 0 {
            break;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => examples.push((line, Example::parse(text.trim_end(), path, line))),
            Err(_) => examples.push((line, Err(TrainError::data(path, line, "not UTF-8 text")))),
        }
    }
    if examples.is_empty() {
        return Err(TrainError::data(path, 0, "the file has no examples"));
    }
    Ok(examples)
}

/// An endless order over `count` examples: each pass is a fresh shuffle, all from one seed.
pub struct Order {
    stream: Stream,
    pass: Vec<usize>,
    next: usize,
}

impl Order {
    /// The order that `seed` gives for `count` examples.
    pub fn new(count: usize, seed: [u8; 32]) -> Self {
        let stream = Stream::new(seed, "example order");
        Self { stream, pass: (0..count).collect(), next: count }
    }

    /// The next `size` examples; passes run on from one batch into the next.
    pub fn take(&mut self, size: usize) -> Vec<usize> {
        let mut picked = Vec::with_capacity(size);
        while picked.len() < size && !self.pass.is_empty() {
            if self.next == self.pass.len() {
                self.stream.shuffle(&mut self.pass);
                self.next = 0;
            }
            picked.push(self.pass[self.next]);
            self.next += 1;
        }
        picked
    }
}
