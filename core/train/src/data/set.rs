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
        let mut examples = Vec::new();
        for path in paths {
            examples.extend(read_jsonl(path)?);
        }
        let set = Self::new(examples, tokenizer, settings)?;
        if set.train.is_empty() {
            let path = paths.first().map_or(Path::new("data"), PathBuf::as_path);
            return Err(TrainError::data(path, 0, "no example to train on"));
        }
        Ok(set)
    }

    /// Tokenises examples that are already in memory.
    pub fn new(
        examples: Vec<Example>,
        tokenizer: &TextTokenizer,
        settings: &DataSettings,
    ) -> Result<Self> {
        if !(0.0..1.0).contains(&settings.held_out) {
            return Err(TrainError::setting("held_out", "must be at least 0 and below 1"));
        }
        if settings.max_length < 2 {
            return Err(TrainError::setting("max_length", "must be at least 2"));
        }
        let mut set = Self::default();
        for example in examples {
            let segments = settings.template.render(&example, tokenizer)?;
            let mut sequence = tokenize(tokenizer, &segments)?;
            if sequence.ids.len() > settings.max_length {
                sequence.ids.truncate(settings.max_length);
                sequence.labels.truncate(settings.max_length);
                set.truncated += 1;
            }
            if sequence.label_count() == 0 {
                set.dropped += 1;
                continue;
            }
            let held_out = is_held_out(&example, settings.held_out);
            let tokenized = TokenizedExample { example, sequence };
            if held_out { set.held_out.push(tokenized) } else { set.train.push(tokenized) }
        }
        Ok(set)
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
pub fn read_jsonl(path: &Path) -> Result<Vec<Example>> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let mut examples = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| TrainError::data(path, index + 1, e.to_string()))?;
        if !line.trim().is_empty() {
            examples.push(Example::parse(&line, path, index + 1)?);
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
