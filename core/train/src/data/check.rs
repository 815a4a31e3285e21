//! `data check`: reads every record, tokenises it as training would, and records problems.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::example::{Example, Role};
use super::form::{Form, Understood};
use super::part::Part;
use super::reading::{NAMED, OnBadLine};
use super::records::{Unit, each_batch};
use super::repeats::{Kept, Repeats};
use super::report::{
    DataReport, FileSummary, Histogram, LengthSummary, Lengths, Place, Problem, Rendered,
};
use super::settings::DataSettings;
use super::summary::Unknown;
use crate::model::TokenSequence;
use crate::text::{self, TextTokenizer, floor_char_boundary};
use crate::{Result, TrainError, Valid};

/// Bytes of each piece of an example's text that are shown.
const SHOWN_BYTES: usize = 64 << 10;

/// Progress of a check.
#[derive(Clone, Copy, Debug)]
pub struct CheckProgress<'a> {
    /// The file being read.
    pub path: &'a Path,
    /// Bytes of it that have been read, before decompression.
    pub read: u64,
    /// Number of records so far, over all files.
    pub records: usize,
    /// Number of these records that cannot be used.
    pub problems: usize,
}

/// Receives the progress of a check from time to time.
pub type OnCheck<'a> = &'a mut dyn FnMut(&CheckProgress<'_>);

impl DataReport {
    /// Reads training files and held-out files, and describes what training would do with them.
    /// Without held-out files, `settings.held_out` splits the training files, and `settings.test`
    /// without test files.
    ///
    /// # Errors
    /// A file that cannot be opened, or invalid settings. Records that cannot be used are not an
    /// error: they are in [`DataReport::problems`].
    pub fn check(
        train: &[PathBuf],
        held_out: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
    ) -> Result<Self> {
        let train = train.iter().map(|path| (path.clone(), Part::Train));
        let held_out = held_out.iter().map(|path| (path.clone(), Part::HeldOut));
        let files: Vec<_> = train.chain(held_out).collect();
        Self::check_watched(&files, tokenizer, settings, &mut |_| ())
    }

    /// As [`Self::check`] with the part that each file is for, and with progress. A part with files
    /// of its own takes nothing of the training files.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn check_watched(
        files: &[(PathBuf, Part)],
        tokenizer: &TextTokenizer,
        settings: &Valid<DataSettings>,
        on_progress: OnCheck<'_>,
    ) -> Result<Self> {
        let of = |part, fraction| match files.iter().any(|(_, other)| *other == part) {
            true => 0.0,
            false => fraction,
        };
        let fractions = (of(Part::HeldOut, settings.held_out), of(Part::Test, settings.test));
        let mut check = Check::new(tokenizer, settings, on_progress);
        for part in [Part::Train, Part::HeldOut, Part::Test] {
            for (path, _) in files.iter().filter(|(_, of)| *of == part) {
                check.file(path, part, fractions)?;
            }
        }
        Ok(check.finish())
    }
}

/// What a thread finds out about one record.
struct Looked {
    number: usize,
    form: Form,
    unknown: Vec<String>,
    part: Part,
    sequence: TokenSequence,
    /// Tokens before the cut.
    uncut: usize,
    digests: [u64; 2],
    /// Kept for the first records only: one of them is shown.
    example: Option<Example>,
}

struct Check<'a> {
    tokenizer: &'a TextTokenizer,
    settings: &'a Valid<DataSettings>,
    on_progress: OnCheck<'a>,
    report: DataReport,
    lengths: Lengths,
    uncut: Lengths,
    responses: Lengths,
    kept: Vec<Kept>,
    unknown: Unknown,
    records: usize,
}

impl<'a> Check<'a> {
    fn new(
        tokenizer: &'a TextTokenizer,
        settings: &'a Valid<DataSettings>,
        on_progress: OnCheck<'a>,
    ) -> Self {
        let report = DataReport {
            template: settings.template.name().to_owned(),
            max_length: settings.max_length,
            skips: settings.reading.on_bad_line == OnBadLine::Skip,
            ..DataReport::default()
        };
        let (lengths, uncut, responses) = Default::default();
        let (kept, unknown, records) = Default::default();
        Self {
            tokenizer,
            settings,
            on_progress,
            report,
            lengths,
            uncut,
            responses,
            kept,
            unknown,
            records,
        }
    }

    fn file(&mut self, path: &Path, part: Part, (held_out, test): (f64, f64)) -> Result<()> {
        let mut summary = FileSummary::new(path, part);
        let (tokenizer, settings) = (self.tokenizer, self.settings);
        let read = each_batch(path, &mut |batch| {
            summary.unit = batch.unit;
            let is_shown = self.report.rendered.is_none() && part == Part::Train;
            let looked = batch.each(path, &settings.reading.map, |record, understood| {
                let digest = understood.example.digest();
                let part = match part {
                    Part::Train => Part::of(&digest, held_out, test),
                    part => part,
                };
                let is_shown = is_shown && part == Part::Train;
                let mut looked = look(understood, tokenizer, settings, is_shown)?;
                (looked.number, looked.part) = (record.number, part);
                // 64 bits of a digest are enough to tell one member's examples apart.
                looked.digests[0] = first_word(&digest);
                Ok(looked)
            });
            self.records += looked.len();
            for looked in looked {
                match looked.and_then(|looked| self.take(looked, &mut summary)) {
                    Ok(()) => {}
                    Err(error) => self.problem(error, &mut summary),
                }
            }
            let (records, problems) = (self.records, self.report.problem_count);
            (self.on_progress)(&CheckProgress { path, read: batch.read, records, problems });
            Ok(())
        });
        match read {
            Ok(()) => {}
            Err(error @ TrainError::Data { .. }) => {
                summary.is_cut = true;
                self.problem(error, &mut summary);
            }
            Err(error) => return Err(error),
        }
        self.report.files.push(summary);
        Ok(())
    }

    fn problem(&mut self, error: TrainError, summary: &mut FileSummary) {
        summary.bad += 1;
        self.report.problem_count += 1;
        if self.report.problems.len() < NAMED {
            self.report.problems.extend(Problem::of(error));
        }
    }

    fn take(&mut self, mut looked: Looked, summary: &mut FileSummary) -> Result<()> {
        let unknown = std::mem::take(&mut looked.unknown);
        *summary.forms.entry(looked.form).or_default() += 1;
        let Looked { number, sequence, uncut, part, .. } = &looked;
        let place = || Place { path: summary.path.clone(), line: *number, unit: summary.unit };
        self.unknown.note(unknown);
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
            && *part == Part::Train
            && let Some(example) = &looked.example
        {
            self.report.rendered = Some(self.render(example, sequence, place())?);
        }
        self.lengths.add(sequence.ids.len());
        self.uncut.add(*uncut);
        self.responses.add(sequence.label_count());
        let file = self.report.files.len();
        self.report.test += usize::from(*part == Part::Test);
        self.kept.push(Kept::new(file, *number, *part != Part::Train, looked.digests));
        Ok(())
    }

    fn render(
        &self,
        example: &Example,
        sequence: &TokenSequence,
        place: Place,
    ) -> Result<Rendered> {
        let rendered = self.settings.template.render(example, self.tokenizer)?;
        // The last part of an example contains the most of it.
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
        let report = &mut self.report;
        (report.unknown, report.unknown_more) = (self.unknown.names, self.unknown.more);
        let apart = self.kept.iter().filter(|kept| kept.is_apart()).count();
        report.train = self.kept.len() - apart;
        report.held_out = apart - report.test;
        report.histogram = Histogram::new(&self.uncut);
        report.tokens = LengthSummary::new(&self.lengths);
        report.uncut_tokens = LengthSummary::new(&self.uncut);
        report.response_tokens = LengthSummary::new(&self.responses);
        let repeats = Repeats::find(&mut self.kept);
        let files = &report.files;
        let place = |file: usize, number: u32| {
            let (path, unit) = files.get(file).map(|file| (&file.path, file.unit)).unzip();
            let (path, unit) = (path.cloned().unwrap_or_default(), unit.unwrap_or_default());
            Place { path, line: number as usize, unit }
        };
        let first = (repeats.duplicates_first(place), repeats.leaked_first(place));
        (report.duplicates_first, report.leaked_first) = first;
        report.duplicates = repeats.duplicates;
        (report.leaked, report.leaked_questions) = (repeats.leaked, repeats.leaked_questions);
        self.report
    }
}

impl FileSummary {
    fn new(path: &Path, part: Part) -> Self {
        let (path, forms) = (path.to_owned(), BTreeMap::new());
        Self { path, part, unit: Unit::Line, forms, bad: 0, is_cut: false }
    }
}

/// Everything that can be determined from a record alone, without its place and content digest.
fn look(
    understood: Understood,
    tokenizer: &TextTokenizer,
    settings: &Valid<DataSettings>,
    is_shown: bool,
) -> Result<Looked> {
    let Understood { example, form, unknown } = understood;
    let parts = settings.tokenize(&example, tokenizer)?;
    let is_cut = parts.iter().any(|part| part.is_cut);
    // Known for all but long texts: nothing is tokenised twice for this.
    let uncut = parts.iter().map(|part| part.uncut).try_fold(0, |most, it| Some(it?.max(most)));
    // If an example has several parts, the longest one that is learned represents it.
    let longest = parts.into_iter().map(|part| part.sequence);
    let empty = TokenSequence { ids: Vec::new(), labels: Vec::new() };
    let sequence = longest.max_by_key(|sequence| sequence.ids.len()).unwrap_or(empty);
    let uncut = match (is_cut, uncut) {
        (true, Some(uncut)) => uncut,
        (true, None) => settings.full_length(&example, tokenizer)?,
        (false, _) => sequence.ids.len(),
    };
    Ok(Looked {
        number: 0,
        form,
        unknown,
        part: Part::Train,
        sequence,
        uncut,
        digests: [0, first_word(&question_digest(&example))],
        example: is_shown.then_some(example),
    })
}

fn first_word(digest: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(word)
}

/// Digest of everything before the last answer, apart from case and whitespace.
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
    // The plain form may be long, so it is hashed without a copy.
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
