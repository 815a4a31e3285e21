//! `data check`: reads every line, tokenises it as training would, and notes what is odd.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::example::{Example, Role};
use super::report::{
    DataReport, FileSummary, Histogram, LengthSummary, Place, Problem, Rendered, Repeat,
};
use super::set::{DataSettings, at_line, is_held_out, read_examples};
use crate::model::TokenSequence;
use crate::text::TextTokenizer;
use crate::{Result, TrainError};

/// Lines named for each kind of finding; all are counted.
const NAMED: usize = 10;

impl DataReport {
    /// Reads files to train on and files that are held out, and describes what training would make of them. Without
    /// held-out files, `settings.held_out` splits the training files.
    ///
    /// # Errors
    /// A file that cannot be opened, or settings that cannot work. Lines that cannot be used are no error: they are
    /// in [`DataReport::problems`].
    pub fn check(
        train: &[PathBuf],
        held_out: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &DataSettings,
    ) -> Result<Self> {
        settings.check()?;
        let fraction = if held_out.is_empty() { settings.held_out } else { 0.0 };
        let mut check = Check::new(tokenizer, settings);
        for path in train {
            check.file(path, false, fraction)?;
        }
        for path in held_out {
            check.file(path, true, 0.0)?;
        }
        Ok(check.finish())
    }
}

/// One example that can be used.
struct Kept {
    place: Place,
    held_out: bool,
    example: [u8; 32],
    question: [u8; 32],
}

struct Check<'a> {
    tokenizer: &'a TextTokenizer,
    settings: &'a DataSettings,
    report: DataReport,
    lengths: Vec<usize>,
    uncut: Vec<usize>,
    responses: Vec<usize>,
    kept: Vec<Kept>,
}

impl<'a> Check<'a> {
    fn new(tokenizer: &'a TextTokenizer, settings: &'a DataSettings) -> Self {
        let report = DataReport {
            template: settings.template.name().to_owned(),
            max_length: settings.max_length,
            ..DataReport::default()
        };
        let (lengths, uncut, responses) = Default::default();
        Self { tokenizer, settings, report, lengths, uncut, responses, kept: Vec::new() }
    }

    fn file(&mut self, path: &Path, held_out: bool, fraction: f64) -> Result<()> {
        let path_owned = path.to_owned();
        let mut summary = FileSummary { path: path_owned, held_out, alpaca: 0, chat: 0, bad: 0 };
        let examples = match read_examples(path) {
            Ok(examples) => examples,
            Err(error @ TrainError::Data { .. }) => {
                self.problem(error, &mut summary);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        for (line, example) in examples {
            let place = Place { path: path.to_owned(), line };
            let result = example.and_then(|example| {
                match example {
                    Example::Instruction { .. } => summary.alpaca += 1,
                    Example::Chat { .. } => summary.chat += 1,
                }
                let held_out = held_out || is_held_out(&example, fraction);
                self.example(&example, place, held_out).map_err(at_line(path, line))
            });
            if let Err(error) = result {
                self.problem(error, &mut summary);
            }
        }
        self.report.files.push(summary);
        Ok(())
    }

    fn problem(&mut self, error: TrainError, summary: &mut FileSummary) {
        summary.bad += 1;
        self.report.problem_count += 1;
        if self.report.problems.len() < NAMED
            && let TrainError::Data { path, line, reason } = error
        {
            self.report.problems.push(Problem { place: Place { path, line }, reason });
        }
    }

    fn example(&mut self, example: &Example, place: Place, held_out: bool) -> Result<()> {
        let (sequence, uncut) = self.settings.sequence(example, self.tokenizer)?;
        if uncut > sequence.ids.len() {
            self.report.truncated += 1;
            self.report.truncated_first.get_or_insert_with(|| place.clone());
        }
        if sequence.label_count() == 0 {
            self.report.dropped += 1;
            self.report.dropped_first.get_or_insert(place);
            return Ok(());
        }
        if self.report.rendered.is_none() && !held_out {
            self.report.rendered = Some(self.render(example, &sequence, place.clone())?);
        }
        self.lengths.push(sequence.ids.len());
        self.uncut.push(uncut);
        self.responses.push(sequence.label_count());
        let (example, question) = (example.digest(), question_digest(example));
        self.kept.push(Kept { place, held_out, example, question });
        Ok(())
    }

    fn render(
        &self,
        example: &Example,
        sequence: &TokenSequence,
        place: Place,
    ) -> Result<Rendered> {
        let segments = self.settings.template.render(example, self.tokenizer)?;
        let (mut tokens, mut runs) = (Vec::with_capacity(sequence.ids.len()), Vec::new());
        for (id, label) in sequence.ids.iter().zip(&sequence.labels) {
            tokens.push((self.tokenizer.decode(&[*id], true)?, *label));
        }
        let mut start = 0;
        for run in sequence.labels.chunk_by(|a, b| a == b) {
            let ids = &sequence.ids[start..start + run.len()];
            runs.push((self.tokenizer.decode(ids, true)?, run[0]));
            start += run.len();
        }
        Ok(Rendered { place, segments, runs, tokens })
    }

    fn finish(mut self) -> DataReport {
        self.repeats();
        let report = &mut self.report;
        report.held_out = self.kept.iter().filter(|kept| kept.held_out).count();
        report.train = self.kept.len() - report.held_out;
        report.histogram = Histogram::new(&self.uncut);
        report.tokens = LengthSummary::new(self.lengths);
        report.uncut_tokens = LengthSummary::new(self.uncut);
        report.response_tokens = LengthSummary::new(self.responses);
        self.report
    }

    fn repeats(&mut self) {
        let report = &mut self.report;
        let mut examples: HashMap<[u8; 32], &Place> = HashMap::new();
        let mut questions: HashMap<[u8; 32], &Place> = HashMap::new();
        for kept in self.kept.iter().filter(|kept| !kept.held_out) {
            if let Some(first) = examples.get(&kept.example) {
                report.duplicates += 1;
                note(&mut report.duplicates_first, first, &kept.place);
            } else {
                examples.insert(kept.example, &kept.place);
                questions.entry(kept.question).or_insert(&kept.place);
            }
        }
        for kept in self.kept.iter().filter(|kept| kept.held_out) {
            let found = match (examples.get(&kept.example), questions.get(&kept.question)) {
                (Some(first), _) => {
                    report.leaked += 1;
                    first
                }
                (None, Some(first)) => {
                    report.leaked_questions += 1;
                    first
                }
                (None, None) => continue,
            };
            note(&mut report.leaked_first, found, &kept.place);
        }
    }
}

fn note(list: &mut Vec<Repeat>, first: &Place, again: &Place) {
    if list.len() < NAMED {
        list.push(Repeat { first: first.clone(), again: again.clone() });
    }
}

/// Digest of everything before the last answer, apart from case and spaces.
fn question_digest(example: &Example) -> [u8; 32] {
    let turns = example.turns();
    let last = turns.iter().rposition(|turn| turn.role == Role::Assistant).unwrap_or(turns.len());
    let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 question");
    for turn in &turns[..last] {
        hasher.update(turn.role.name().as_bytes());
        for word in turn.text.split_whitespace() {
            hasher.update(b" ");
            hasher.update(word.to_lowercase().as_bytes());
        }
        hasher.update(b"\n");
    }
    *hasher.finalize().as_bytes()
}
