//! The pages, and what is in the repository for them to name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders of the repository that hold no sources.
const SKIPPED: &[&str] = &["target", ".git", "node_modules"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One page.
pub(crate) struct Page {
    /// From the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Page {
    /// The folder that its links start from, from the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The lines outside of fenced code, with their numbers.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut code = false;
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                code = !code;
            } else if !code {
                lines.push((number + 1, line));
            }
        }
        lines
    }

    /// What stands in backticks outside of fenced code, with its line. A span may go on in the next
    /// line.
    pub(crate) fn code_spans(&self) -> Vec<(usize, String)> {
        let mut spans = Vec::new();
        let mut open: Option<(usize, String)> = None;
        for (number, line) in self.prose() {
            if line.trim().is_empty() || line.starts_with('|') {
                open = None;
            }
            for (position, part) in line.split('`').enumerate() {
                if position > 0 {
                    open = match open.take() {
                        Some(span) => {
                            spans.push(span);
                            None
                        }
                        None => Some((number, String::new())),
                    };
                }
                if let Some((_, text)) = &mut open {
                    text.push_str(part.trim_start());
                }
            }
            if let Some((_, text)) = &mut open {
                text.push(' ');
            }
        }
        spans
    }
}

/// All files below the root, with `/`, without what is built.
pub(crate) fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(&root(), "", &mut found);
    found
}

fn walk(folder: &Path, name: &str, found: &mut BTreeSet<String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a folder can be read");
        let own = entry.file_name().to_string_lossy().into_owned();
        let path = if name.is_empty() { own.clone() } else { format!("{name}/{own}") };
        if entry.path().is_dir() {
            if !SKIPPED.contains(&own.as_str()) {
                walk(&entry.path(), &path, found);
            }
        } else {
            found.insert(path);
        }
    }
}

/// A file's text.
pub(crate) fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every page: below `docs/`, and the readme of the repository and of each crate that has one.
pub(crate) fn pages() -> Vec<Page> {
    files()
        .into_iter()
        .filter(|path| {
            path.ends_with(".md") && (path.starts_with("docs/") || path.ends_with("README.md"))
        })
        .map(|path| Page { text: read(&path), path })
        .collect()
}

/// The text of all our Rust sources.
pub(crate) fn sources() -> Vec<(String, String)> {
    files()
        .into_iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// Fails with everything that was found, one a line.
pub(crate) fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn spans_may_go_over_a_line_and_end_with_a_paragraph() {
    let text = "a `one` and `two\n  words` b\n\nan ` alone\n\n`three`\n```\n`no`\n```\n".to_owned();
    let page = Page { path: "docs/README.md".to_owned(), text };
    let spans: Vec<String> = page.code_spans().into_iter().map(|(_, text)| text).collect();
    assert_eq!(spans, ["one", "two words", "three"]);
}
