//! Progress of `data check`, on a terminal.

use std::path::Path;

use fedshieldd::offline::{CheckProgress, DataQuestion};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the bytes of all files; clones show the same bar. Drawn on standard error, and only if that is a terminal.
#[derive(Clone)]
pub(super) struct CheckBar {
    bar: ProgressBar,
    /// Bytes of the files that were read before the current one.
    before: u64,
    current: Option<std::path::PathBuf>,
}

impl CheckBar {
    pub(super) fn new(question: &DataQuestion) -> Self {
        let files = question.files();
        let bar = ProgressBar::new(files.iter().map(|(file, _)| bytes(file)).sum());
        let template = "{wide_bar} {bytes} of {total_bytes}, {eta} left; {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, before: 0, current: None }
    }

    pub(super) fn show(&mut self, progress: &CheckProgress<'_>) {
        if self.current.as_deref() != Some(progress.path) {
            self.before += self.current.as_deref().map_or(0, bytes);
            self.current = Some(progress.path.to_owned());
        }
        self.bar.set_position(self.before + progress.read);
        let unusable = match progress.problems {
            0 => String::new(),
            count => format!(", {count} unusable"),
        };
        self.bar.set_message(format!("{} lines{unusable}", progress.records));
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}
