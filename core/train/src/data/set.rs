//! Data sets: reading, splitting and tokenising.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::example::Example;
use super::part::Part;
use super::reading::{OnBadLine, Skipped};
use super::ready::{Kept, Ready};
use super::records::each_batch;
use super::settings::DataSettings;
use super::spill::{Piece, Spill};
use super::summary::Unknown;
use super::tokenized::{Text, TokenizedExample, short};
use crate::memory::LargeWork;
use crate::text::TextTokenizer;
use crate::{Result, TrainError, Valid};

/// Tokenised examples, divided into training, held-out and test ones. None of them leaves this
/// member.
#[derive(Clone, Debug, Default)]
pub struct DataSet {
    /// Examples to train on.
    pub train: Vec<TokenizedExample>,
    /// Examples to evaluate on: what is best is chosen by them.
    pub held_out: Vec<TokenizedExample>,
    /// Examples to report on: nothing is chosen by them.
    pub test: Vec<TokenizedExample>,
    /// Number of examples to train on, however many sequences each of them is.
    pub train_examples: usize,
    /// Number of examples to evaluate on.
    pub held_out_examples: usize,
    /// Number of examples to report on.
    pub test_examples: usize,
    /// Number of examples truncated to `max_length`.
    pub truncated: usize,
    /// Number of examples left out because truncation removed their whole answer.
    pub dropped: usize,
    /// Records left out because they cannot be used, if the settings allow that.
    pub skipped: Skipped,
    /// Fields of no known meaning.
    pub unknown: Unknown,
    /// Digests of the content of all lines, dropped ones included, with the part in the lowest two
    /// bits: used to detect changes.
    lines: Vec<u128>,
}

/// The difference between two data sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Number of lines that only the newer one has.
    pub more: usize,
    /// Number of lines that only the older one has.
    pub fewer: usize,
}

impl DataSet {
    /// Reads and tokenises files. Memory is proportional to what is kept, not to the longest line;
    /// with [`DataSettings::spill`] it is less than 100 bytes for each example.
    ///
    /// # Errors
    /// A record that cannot be used, unless such records are left out; files without any training
    /// example left.
    pub fn load(
        paths: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
    ) -> Result<Self> {
        let set = Self::read(paths, tokenizer, settings)?;
        if !set.train.is_empty() {
            return Ok(set);
        }
        let path = paths.first().map_or(Path::new("data"), PathBuf::as_path);
        let mut reason = "no example to train on".to_owned();
        if set.dropped > 0 {
            reason.push_str(&format!(
                ": {} lost their whole answer to the limit of {} tokens",
                set.dropped, settings.max_length
            ));
        }
        if set.skipped.count > 0 {
            reason.push_str(&format!(": {} cannot be used", set.skipped.count));
        }
        let apart = set.held_out_examples + set.test_examples;
        if apart > 0 {
            reason.push_str(&format!(
                ": {apart} are held out or for the test; add lines, or set a smaller fraction"
            ));
        }
        Err(TrainError::data(path, 0, reason))
    }

    /// Reads and tokenises files that are never trained on: all of their examples are in
    /// [`Self::held_out`].
    ///
    /// # Errors
    /// A record that cannot be used, unless such records are left out; files without any example
    /// left.
    pub fn load_held_out(
        paths: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
    ) -> Result<Self> {
        let settings = settings.with(|settings| {
            (settings.held_out, settings.test) = (0.0, 0.0);
            settings.keeps_text = true;
        })?;
        let mut set = Self::read(paths, tokenizer, &settings)?;
        std::mem::swap(&mut set.train, &mut set.held_out);
        std::mem::swap(&mut set.train_examples, &mut set.held_out_examples);
        if set.held_out.is_empty() {
            let path = paths.first().map_or(Path::new("data"), PathBuf::as_path);
            let reason = format!(
                "no held-out example is left: {} lost their whole answer to the limit of {} tokens",
                set.dropped, settings.max_length
            );
            return Err(TrainError::data(path, 0, reason));
        }
        Ok(set)
    }

    /// Adds the held-out examples of `other` to those of `part`; its other examples are dropped.
    #[must_use]
    pub fn with_part(mut self, part: Part, other: Self) -> Self {
        let (side, count) = self.side(part);
        side.extend(other.held_out);
        *count += other.held_out_examples;
        self.lines.extend(other.lines.into_iter().map(|line| line & !3 | part.bits()));
        self.lines.sort_unstable();
        self.skipped.append(other.skipped);
        self.unknown.append(other.unknown);
        self.truncated += other.truncated;
        self.dropped += other.dropped;
        self
    }

    /// How the lines of this data set differ from those of an `older` one, counted with
    /// multiplicity.
    pub fn changes(&self, older: &Self) -> Changes {
        let (mut new, mut old) = (self.lines.iter().peekable(), older.lines.iter().peekable());
        let mut changes = Changes::default();
        loop {
            match (new.peek(), old.peek()) {
                (None, None) => return changes,
                (Some(a), Some(b)) if a == b => {
                    new.next();
                    old.next();
                }
                (Some(a), Some(b)) if a > b => {
                    changes.fewer += 1;
                    old.next();
                }
                (Some(_), _) => {
                    changes.more += 1;
                    new.next();
                }
                (None, Some(_)) => {
                    changes.fewer += 1;
                    old.next();
                }
            }
        }
    }

    fn read(
        paths: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
    ) -> Result<Self> {
        let _work = LargeWork;
        let mut set = Self::default();
        let folder = settings.spill.as_deref();
        let spill = folder.map(|folder| Spill::new(folder, settings.reading.map.clone()));
        let spill = spill.transpose()?.map(Arc::new);
        for path in paths {
            each_batch(path, &mut |batch| {
                let ready = batch.each(path, &settings.reading.map, |record, understood| {
                    let mut ready = Ready::new(&understood.example, tokenizer, settings)?;
                    ready.unknown = understood.unknown;
                    let is_kept = ready.part != Part::Train || settings.keeps_text;
                    ready.text = match spill.is_some() {
                        true => Kept::record(record, is_kept),
                        false => Kept::example(understood.example, is_kept, settings),
                    };
                    Ok(ready)
                });
                ready.into_iter().try_for_each(|ready| set.take(ready, settings, spill.as_ref()))
            })?;
        }
        spill.map_or(Ok(()), |spill| spill.flush())?;
        set.finish();
        Ok(set)
    }

    /// Digest of the content of all lines and of how they are divided.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 data set");
        for line in &self.lines {
            hasher.update(&line.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Tokenises examples that are already in memory.
    pub fn new(
        examples: Vec<Example>,
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
    ) -> Result<Self> {
        let mut set = Self::default();
        for example in examples {
            let mut ready = Ready::new(&example, tokenizer, settings)?;
            let is_kept = ready.part != Part::Train || settings.keeps_text;
            ready.text = Kept::example(example, is_kept, settings);
            set.add(ready, None)?;
        }
        set.finish();
        Ok(set)
    }

    fn finish(&mut self) {
        self.lines.sort_unstable();
        self.lines.shrink_to_fit();
        self.train.shrink_to_fit();
        self.held_out.shrink_to_fit();
        self.test.shrink_to_fit();
    }

    fn take(
        &mut self,
        ready: Result<Ready>,
        settings: &Valid<DataSettings>,
        spill: Option<&Arc<Spill>>,
    ) -> Result<()> {
        match (ready, settings.reading.on_bad_line) {
            (Ok(ready), _) => self.add(ready, spill)?,
            (Err(error @ TrainError::Data { .. }), OnBadLine::Skip) => self.skipped.add(error),
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    /// The examples of a part, and their number.
    fn side(&mut self, part: Part) -> (&mut Vec<TokenizedExample>, &mut usize) {
        match part {
            Part::Train => (&mut self.train, &mut self.train_examples),
            Part::HeldOut => (&mut self.held_out, &mut self.held_out_examples),
            Part::Test => (&mut self.test, &mut self.test_examples),
        }
    }

    fn add(&mut self, ready: Ready, spill: Option<&Arc<Spill>>) -> Result<()> {
        let digest = short(&ready.digest);
        self.lines.push(u128::from_le_bytes(digest) & !3 | ready.part.bits());
        self.unknown.note(ready.unknown);
        self.truncated += usize::from(ready.is_cut);
        self.dropped += usize::from(ready.parts.is_empty());
        let text = match (ready.text, spill) {
            (Kept::Example(example), _) => Text::Memory(example),
            (Kept::Record(record), Some(spill)) => {
                Text::Disk(Arc::clone(spill), spill.put(&record)?)
            }
            (Kept::Record(_) | Kept::Nothing, None) => Text::none(),
            (Kept::Nothing, Some(spill)) => Text::Disk(Arc::clone(spill), Piece::default()),
        };
        let (side, count) = self.side(ready.part);
        *count += usize::from(!ready.parts.is_empty());
        for (turns, packed) in ready.parts {
            side.push(TokenizedExample::part(&text, digest, turns, packed)?);
        }
        Ok(())
    }
}
