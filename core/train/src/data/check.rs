//! `data check`: reads every line, tokenises it as training would, and notes what is odd.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::example::{Example, Role};
use super::lines::{Line, each_batch};
use super::report::{
    DataReport, FileSummary, Histogram, LengthSummary, Place, Problem, Rendered, Repeat,
};
use super::set::{DataSettings, at_line, is_held_out, short_digest};
use crate::model::TokenSequence;
use crate::text::{self, TextTokenizer, floor_char_boundary};
use crate::{Result, TrainError};

/// Lines named for each kind of finding; all are counted.
const NAMED: usize = 10;
/// Of each piece of the text of an example, this much is shown.
const SHOWN_BYTES: usize = 64 << 10;

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

/// One example that can be used. There may be millions: 48 bytes each.
struct Kept {
    /// Index of its file.
    file: u32,
    line: u32,
    held_out: bool,
    example: u128,
    question: u128,
}

/// What is found out about one line on any thread.
struct Looked {
    line: usize,
    held_out: bool,
    sequence: TokenSequence,
    /// Tokens before the cut.
    uncut: usize,
    digest: u128,
    question: u128,
    /// Only of the first lines: one of them is shown.
    example: Option<Example>,
}

struct Check<'a> {
    tokenizer: &'a TextTokenizer,
    settings: &'a DataSettings,
    report: DataReport,
    lengths: Vec<u32>,
    uncut: Vec<u32>,
    responses: Vec<u32>,
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
        let (tokenizer, settings) = (self.tokenizer, self.settings);
        let look = |(line, example): Line, is_shown: bool| {
            let kind = example.as_ref().ok().map(|ex| !matches!(ex, Example::Instruction { .. }));
            let looked = |example: Example| {
                let held_out = held_out || is_held_out(&example, fraction);
                look(line, example, tokenizer, settings, is_shown, held_out)
            };
            (kind, example.and_then(looked).map_err(at_line(path, line)))
        };
        let read = each_batch(path, &mut |lines| {
            let is_shown = self.report.rendered.is_none() && !held_out;
            let looked: Vec<_> = lines.into_par_iter().map(|line| look(line, is_shown)).collect();
            for (is_chat, looked) in looked {
                summary.chat += usize::from(is_chat == Some(true));
                summary.alpaca += usize::from(is_chat == Some(false));
                match looked.and_then(|looked| self.take(looked, path)) {
                    Ok(()) => {}
                    Err(error) => self.problem(error, &mut summary),
                }
            }
            Ok(())
        });
        match read {
            Ok(()) => {}
            Err(error @ TrainError::Data { .. }) => self.problem(error, &mut summary),
            Err(error) => return Err(error),
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

    fn take(&mut self, looked: Looked, path: &Path) -> Result<()> {
        let Looked { line, sequence, uncut, held_out, .. } = &looked;
        let place = || Place { path: path.to_owned(), line: *line };
        if *uncut > sequence.ids.len() {
            self.report.truncated += 1;
            self.report.truncated_first.get_or_insert_with(place);
        }
        if sequence.label_count() == 0 {
            self.report.dropped += 1;
            self.report.dropped_first.get_or_insert_with(place);
            return Ok(());
        }
        if self.report.rendered.is_none()
            && !held_out
            && let Some(example) = &looked.example
        {
            self.report.rendered = Some(self.render(example, sequence, place())?);
        }
        self.lengths.push(short(sequence.ids.len()));
        self.uncut.push(short(*uncut));
        self.responses.push(short(sequence.label_count()));
        self.kept.push(Kept {
            file: short(self.report.files.len()),
            line: short(*line),
            held_out: *held_out,
            example: looked.digest,
            question: looked.question,
        });
        Ok(())
    }

    fn render(
        &self,
        example: &Example,
        sequence: &TokenSequence,
        place: Place,
    ) -> Result<Rendered> {
        let rendered = self.settings.template.render(example, self.tokenizer)?;
        // The last part of an example in parts shows the most.
        let mut segments = rendered.last().map(text::Rendered::segments).unwrap_or_default();
        for segment in &mut segments {
            segment.text.truncate(floor_char_boundary(&segment.text, SHOWN_BYTES));
        }
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
        let files: Vec<PathBuf> = report.files.iter().map(|file| file.path.clone()).collect();
        let place = |kept: &Kept| Place {
            path: files.get(kept.file as usize).cloned().unwrap_or_default(),
            line: kept.line as usize,
        };
        let mut examples: HashMap<u128, &Kept> = HashMap::new();
        let mut questions: HashMap<u128, &Kept> = HashMap::new();
        for kept in self.kept.iter().filter(|kept| !kept.held_out) {
            if let Some(first) = examples.get(&kept.example) {
                report.duplicates += 1;
                note(&mut report.duplicates_first, || (place(first), place(kept)));
            } else {
                examples.insert(kept.example, kept);
                questions.entry(kept.question).or_insert(kept);
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
            note(&mut report.leaked_first, || (place(found), place(kept)));
        }
    }
}

/// Everything that is known of a line by itself.
fn look(
    line: usize,
    example: Example,
    tokenizer: &TextTokenizer,
    settings: &DataSettings,
    is_shown: bool,
    held_out: bool,
) -> Result<Looked> {
    let parts = settings.tokenize(&example, tokenizer)?;
    let is_cut = parts.iter().any(|part| part.is_cut);
    // Of an example in parts, the longest one that is learned stands for all.
    let longest = parts.into_iter().map(|part| part.sequence);
    let empty = TokenSequence { ids: Vec::new(), labels: Vec::new() };
    let sequence = longest.max_by_key(|sequence| sequence.ids.len()).unwrap_or(empty);
    let uncut = match is_cut {
        true => settings.full_length(&example, tokenizer)?,
        false => sequence.ids.len(),
    };
    Ok(Looked {
        line,
        held_out,
        sequence,
        uncut,
        digest: short_digest(&example.digest()),
        question: short_digest(&question_digest(&example)),
        example: (is_shown && !held_out).then_some(example),
    })
}

/// Four bytes are enough for what is counted here.
fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn note(list: &mut Vec<Repeat>, places: impl FnOnce() -> (Place, Place)) {
    if list.len() < NAMED {
        let (first, again) = places();
        list.push(Repeat { first, again });
    }
}

/// Digest of everything before the last answer, apart from case and spaces.
fn question_digest(example: &Example) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 question");
    let mut turn = |role: Role, parts: &[&str]| {
        hasher.update(role.name().as_bytes());
        for word in parts.iter().flat_map(|part| part.split_whitespace()) {
            hasher.update(b" ");
            hasher.update(word.to_lowercase().as_bytes());
        }
        hasher.update(b"\n");
    };
    // Of the plain form, which may be long, nothing is copied.
    match example {
        Example::Instruction { system: None, history, instruction, input, .. }
            if history.is_empty() =>
        {
            turn(Role::User, &[instruction, input]);
        }
        other => {
            let turns = other.turns();
            let last = turns.iter().rposition(|turn| turn.role == Role::Assistant);
            for before in &turns[..last.unwrap_or(turns.len())] {
                turn(before.role, &[before.said()]);
            }
        }
    }
    *hasher.finalize().as_bytes()
}
