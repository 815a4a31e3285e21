//! This organisation's examples, and checks of their files whenever they may have changed.
//!
//! A round keeps the [`Examples`] that it began with; the next one uses the current content. If a
//! file is missing, invalid or being written, the examples that were read last stay in use, and the
//! operator is told.

mod stamp;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use fedshield_train::data::{Changes, DataSet, DataSettings, Part, TokenizedExample};
use fedshield_train::text::TextTokenizer;
use fedshield_train::{TrainError, Valid};
use serde::{Deserialize, Serialize};

use super::sample::{joint, sample};
use crate::control::api::{Condition, Severity};
use stamp::Stamp;

/// A file modified within this time may still be being written.
const QUIET: Duration = Duration::from_secs(2);
/// A file that keeps changing is read anyway after this time.
const LONGEST_UNREST: Duration = Duration::from_secs(60);

/// The name of the condition for data files that cannot be used.
pub const DATA_CONDITION: &str = "data-unreadable";

/// The name of the condition for records that are left out.
pub const SKIPPED_CONDITION: &str = "data-skipped";

/// The data files and how they are read.
pub(super) struct DataSources {
    pub(super) train: Vec<PathBuf>,
    pub(super) held_out: Vec<PathBuf>,
    pub(super) test: Vec<PathBuf>,
    pub(super) tokenizer: TextTokenizer,
    /// `held_out` and `test` are the fractions taken where no files are named for them.
    pub(super) settings: Valid<DataSettings>,
}

impl DataSources {
    fn read(&self) -> Result<Examples, TrainError> {
        let settings = self.settings.with(|settings| {
            let fraction = |files: &[PathBuf], fraction| match files.is_empty() {
                true => fraction,
                false => 0.0,
            };
            settings.held_out = fraction(&self.held_out, settings.held_out);
            settings.test = fraction(&self.test, settings.test);
        })?;
        let mut set = DataSet::load(&self.train, &self.tokenizer, &settings)?;
        for (part, files) in [(Part::HeldOut, &self.held_out), (Part::Test, &self.test)] {
            if !files.is_empty() {
                let apart = DataSet::load_held_out(files, &self.tokenizer, &settings)?;
                set = set.with_part(part, apart);
            }
        }
        Ok(Examples { sample: sample(&set.held_out), set })
    }

    fn stamps(&self) -> Result<Vec<Stamp>, TrainError> {
        let files = self.train.iter().chain(&self.held_out).chain(&self.test);
        files.map(|path| Stamp::of(path)).collect()
    }
}

/// A part of a member's data that nothing is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeasuredOn {
    /// Nothing was chosen by it.
    Test,
    /// What is best was chosen by it, which flatters the chosen.
    Validation,
    /// Files that were named for one comparison. They may have examples that were trained on.
    File,
}

/// The examples of the data files when they were read.
pub(crate) struct Examples {
    pub(crate) set: DataSet,
    /// The part of the held-out data that is measured on after each round.
    pub(crate) sample: Vec<TokenizedExample>,
}

impl Examples {
    /// What losses are reported on: the examples of `files`, else a part of the member's data.
    pub(crate) fn reported<'a>(
        &'a self,
        files: Option<&'a DataSet>,
    ) -> (&'a [TokenizedExample], MeasuredOn) {
        match (files, self.set.test.is_empty()) {
            (Some(files), _) => (&files.held_out, MeasuredOn::File),
            (None, true) => (&self.set.held_out, MeasuredOn::Validation),
            (None, false) => (&self.set.test, MeasuredOn::Test),
        }
    }

    /// What is measured for the federation's mean in each round that trains on `trained` examples.
    pub(crate) fn joint_sample(&self, trained: usize) -> Vec<TokenizedExample> {
        joint(&self.sample, trained)
    }

    /// The condition about records that were left out; `None` if there are none.
    pub(crate) fn skipped(&self) -> Option<Condition> {
        let skipped = &self.set.skipped;
        let named = skipped.first.iter().map(|it| format!("{}: {}", it.place, it.reason));
        let named = named.collect::<Vec<_>>().join("; ");
        let what = match skipped.count {
            0 => return None,
            1 => format!("1 line of the data files cannot be used and is left out: {named}"),
            count if count > skipped.first.len() => {
                format!(
                    "{count} lines of the data files cannot be used and are left out, the first: {named}"
                )
            }
            count => {
                format!("{count} lines of the data files cannot be used and are left out: {named}")
            }
        };
        let hint = "fix them, and they are used from the next round on; `data.on_bad_line` \
                    decides what is \
                    done with them";
        Some(Condition::new(SKIPPED_CONDITION, Severity::Notice, what).with_hint(hint))
    }
}

/// When to check the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// At regular intervals and for each round: a file that is being written is left for later.
    WhenQuiet,
    /// At an operator's request.
    Now,
}

/// The result of checking the data files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataLook {
    /// The content is the same.
    Unchanged,
    /// The content has changed; the next round uses it.
    Changed {
        /// Number of records that are new.
        more: usize,
        /// Number of records that are gone.
        fewer: usize,
        /// Number of training examples.
        train: usize,
        /// Number of held-out examples.
        held_out: usize,
    },
    /// One of them is being written, or another check is in progress.
    Busy,
    /// They cannot be used.
    Unreadable {
        /// File, line and reason.
        problem: String,
        /// Number of earlier examples that are trained on instead.
        train: usize,
    },
}

impl DataLook {
    /// The condition that follows; `None` if nothing is wrong.
    #[must_use]
    pub fn condition(&self) -> Option<Condition> {
        let Self::Unreadable { problem, train } = self else { return None };
        let message = format!(
            "the data files cannot be used: {problem}. Rounds go on with the {train} examples that were read before"
        );
        let hint = "fix or restore the file: it is checked again automatically. `fedshield-cli \
                    data check` lists \
                    every line that is wrong. Until then do not restart the daemon, which keeps the examples in \
                    memory only";
        Some(Condition::new(DATA_CONDITION, Severity::Warning, message).with_hint(hint))
    }
}

/// The examples in use and what is known of their files.
pub(super) struct DataFiles {
    sources: DataSources,
    current: RwLock<Arc<Examples>>,
    known: Mutex<Known>,
}

/// What the checks so far have found.
struct Known {
    /// The files' metadata when they were last read.
    read: Vec<Stamp>,
    /// Whether unchanged metadata proves unchanged content. Otherwise, for instance if they were
    /// modified just before they were read, they are read again at the next check.
    is_sure: bool,
    /// The error of that read, if any.
    problem: Option<String>,
    /// If the files are being written: their last metadata and since when.
    unrest: Option<Unrest>,
}

struct Unrest {
    seen: Vec<Stamp>,
    at: Instant,
    since: Instant,
}

impl DataFiles {
    /// Reads the files for the first time.
    pub(super) fn open(sources: DataSources) -> Result<Self, TrainError> {
        let read = sources.stamps()?;
        let is_sure = read.iter().all(|stamp| stamp.is_older_than(QUIET));
        let examples = sources.read()?;
        if let Some(condition) = examples.skipped() {
            tracing::warn!("{}", condition.message);
        }
        let current = RwLock::new(Arc::new(examples));
        let known = Mutex::new(Known { read, is_sure, problem: None, unrest: None });
        Ok(Self { sources, current, known })
    }

    /// Reads files whose examples are measured on and nothing else; `None` without any.
    pub(super) fn read_apart(&self, files: &[PathBuf]) -> Result<Option<DataSet>, TrainError> {
        let DataSources { tokenizer, settings, .. } = &self.sources;
        let read = |files| DataSet::load_held_out(files, tokenizer, settings);
        (!files.is_empty()).then(|| read(files)).transpose()
    }

    /// The examples in use.
    pub(super) fn current(&self) -> Arc<Examples> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Checks the files and reads them again if they have changed. Costs one `stat` per file if
    /// they have not.
    pub(super) fn look(&self, when: Look) -> DataLook {
        let mut known = match (when, self.known.try_lock()) {
            (_, Ok(known)) => known,
            (_, Err(TryLockError::Poisoned(known))) => known.into_inner(),
            // A large file may be being read: the next round gets it.
            (Look::WhenQuiet, Err(TryLockError::WouldBlock)) => return DataLook::Busy,
            (Look::Now, Err(TryLockError::WouldBlock)) => self.wait(),
        };
        let stamps = match self.sources.stamps() {
            Ok(stamps) => stamps,
            Err(error) => {
                known.read.clear();
                known.problem = Some(error.to_string());
                return self.unreadable(error.to_string());
            }
        };
        if stamps == known.read && known.is_sure {
            return match &known.problem {
                Some(problem) => self.unreadable(problem.clone()),
                None => DataLook::Unchanged,
            };
        }
        let is_patient = when == Look::WhenQuiet && !known.have_settled(&stamps);
        if is_patient && !stamps.iter().all(|stamp| stamp.is_older_than(QUIET)) {
            return DataLook::Busy;
        }
        let is_old = stamps.iter().all(|stamp| stamp.is_older_than(QUIET));
        let read = self.sources.read();
        let is_steady = self.sources.stamps().is_ok_and(|after| after == stamps);
        if is_patient && !is_steady {
            return DataLook::Busy;
        }
        known.unrest = None;
        known.read = stamps;
        match read {
            Ok(examples) => {
                known.is_sure = is_old && is_steady;
                known.problem = None;
                self.replace(examples)
            }
            Err(error) => {
                // An I/O error may go away without a change of the file.
                known.is_sure = is_old && is_steady && matches!(error, TrainError::Data { .. });
                known.problem = Some(error.to_string());
                self.unreadable(error.to_string())
            }
        }
    }

    fn wait(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, examples: Examples) -> DataLook {
        let current = self.current();
        let Changes { more, fewer } = examples.set.changes(&current.set);
        let left_out = examples.set.skipped.count;
        // Lines that are left out do not count as examples; they may come and go by themselves.
        if (more, fewer) == (0, 0) && examples.set.skipped == current.set.skipped {
            return DataLook::Unchanged;
        }
        let (train, held_out) = (examples.set.train.len(), examples.set.held_out.len());
        if let Some(condition) = examples.skipped() {
            tracing::warn!("{}", condition.message);
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(examples);
        tracing::info!(
            train,
            held_out,
            left_out,
            "the data files have changed: {}, {fewer} fewer; the next round uses them",
            if more == 1 { "1 line more".to_owned() } else { format!("{more} lines more") },
        );
        DataLook::Changed { more, fewer, train, held_out }
    }

    fn unreadable(&self, problem: String) -> DataLook {
        DataLook::Unreadable { problem, train: self.current().set.train.len() }
    }
}

impl Known {
    /// Whether recently modified files are to be read anyway: nothing has happened to them for
    /// [`QUIET`], or they have kept changing for [`LONGEST_UNREST`]. Measured by the local clock,
    /// because the clock of the file system may differ.
    fn have_settled(&mut self, stamps: &[Stamp]) -> bool {
        let now = Instant::now();
        let Some(unrest) = &mut self.unrest else {
            self.unrest = Some(Unrest { seen: stamps.to_vec(), at: now, since: now });
            return false;
        };
        if unrest.seen != stamps {
            unrest.seen = stamps.to_vec();
            unrest.at = now;
        }
        now.duration_since(unrest.at) >= QUIET || now.duration_since(unrest.since) >= LONGEST_UNREST
    }
}

#[cfg(test)]
mod tests;
