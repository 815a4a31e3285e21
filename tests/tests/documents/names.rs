//! Files and tests that the pages name exist.

use std::collections::BTreeSet;

use super::pages::{files, none, pages, sources};

/// Top level folders: a name in backticks that begins with one is a path from the root.
const TOP: &[&str] =
    &["cli", "core", "daemon", "docs", "he", "net", "netsim", "tests", ".ci", ".cargo"];

/// Kinds of files that only this repository can have; others may lie in somebody's home.
const KINDS: &[&str] = &[".rs", ".md", ".py", ".sh", ".service"];

/// `a/{b,c}.rs` is two names.
fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![name.to_owned()] };
    inside.split(',').flat_map(|part| expand(&format!("{before}{part}{after}"))).collect()
}

/// Whether every character may stand in a path that is meant as it is written.
fn is_plain(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-./{},".contains(c);
    !name.is_empty() && name.chars().all(part) && !name.contains("...")
}

/// Whether a file, a folder or a module of that name is there: from the root, from `folder`, or, if it does not begin with a
/// folder of the top level, anywhere.
fn exists(name: &str, folder: &str, files: &BTreeSet<String>) -> bool {
    let name = name.trim_end_matches('/');
    let is_there = |path: &str| {
        let inside = format!("{path}/");
        files.contains(path)
            || files.contains(&format!("{path}.rs"))
            || files.iter().any(|file| file.starts_with(&inside))
    };
    let from_root = TOP.iter().any(|top| name.split('/').next() == Some(top));
    let end = format!("/{name}");
    is_there(name)
        || is_there(&format!("{folder}/{name}"))
        || !from_root && files.iter().any(|file| file.ends_with(&end))
}

#[test]
fn every_file_that_a_page_names_exists() {
    let files = files();
    let mut missing = Vec::new();
    for page in pages() {
        for (number, span) in page.code_spans() {
            for name in span.split(' ').filter(|name| is_plain(name)) {
                let name = name.trim_end_matches(['.', ',']);
                let top = name.split_once('/').is_some_and(|(top, _)| TOP.contains(&top));
                let kind = KINDS.iter().any(|kind| name.ends_with(kind) && name.len() > kind.len());
                // A link of a protocol or a metric is no path.
                if !(top || kind) || name.starts_with('/') {
                    continue;
                }
                missing.extend(
                    expand(name)
                        .iter()
                        .filter(|name| !exists(name, page.folder(), &files))
                        .map(|name| format!("{}:{number}: {name}", page.path)),
                );
            }
        }
    }
    none("files that are named and missing", &missing);
}

#[test]
fn every_page_that_a_source_names_exists() {
    let files = files();
    let mut missing = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for (start, _) in line.match_indices("docs/") {
                let is_part = |c: &char| c.is_ascii_alphanumeric() || "_-./".contains(*c);
                let name: String = line[start..].chars().take_while(is_part).collect();
                let name = name.trim_end_matches(['.', '/', '-']);
                let outer = line[..start].chars().next_back().is_some_and(|c| c == '/');
                if !outer && !exists(name, "", &files) {
                    missing.push(format!("{path}:{}: {name}", number + 1));
                }
            }
        }
    }
    none("pages that are named in sources and missing", &missing);
}

/// Names of all functions in our sources.
fn functions() -> BTreeSet<String> {
    let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let mut names = BTreeSet::new();
    for (_, text) in sources() {
        for (start, found) in text.match_indices("fn ") {
            names.insert(text[start + found.len()..].chars().take_while(is_part).collect());
        }
    }
    names
}

/// Whether a name reads like that of a test: a sentence. Names of settings and metrics are shorter or begin with ours.
fn is_sentence(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.matches('_').count() >= 4
        && !name.starts_with("fedshield_")
}

#[test]
fn every_test_that_a_page_names_exists() {
    let functions = functions();
    let mut missing = Vec::new();
    for page in pages() {
        for (number, span) in page.code_spans() {
            let name = span.rsplit("::").next().unwrap_or_default().trim();
            let (name, whole) = match name.strip_suffix("...") {
                Some(start) => (start, false),
                None => (name, true),
            };
            if !is_sentence(name) {
                continue;
            }
            let known = if whole {
                functions.contains(name)
            } else {
                functions.iter().any(|function| function.starts_with(name))
            };
            if !known {
                missing.push(format!("{}:{number}: {span}", page.path));
            }
        }
    }
    none("tests that are named and missing", &missing);
}

#[test]
fn every_file_of_the_home_is_in_the_table_of_the_operators() {
    let home = super::pages::read("daemon/src/home.rs");
    let table = super::pages::read("docs/OPERATING.md");
    let (_, table) = table.split_once("## What is in the home folder").expect("it has a table");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let names = home.split("self.0.join(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<String> = names
        .filter(|name| !rows.iter().any(|row| row.contains(&format!("`{name}"))))
        .map(str::to_owned)
        .collect();
    none("not in docs/OPERATING.md", &missing);
}

/// Whether a word is like those of conditions, evidence rules and error codes.
fn is_kebab(word: &str) -> bool {
    word.contains('-')
        && word
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase()))
}

#[test]
fn every_condition_and_metric_that_a_page_names_exists() {
    let sources: Vec<String> = sources().into_iter().map(|(_, text)| text).collect();
    let somewhere = |text: &str| sources.iter().any(|source| source.contains(text));
    let mut missing = Vec::new();
    // Decision records name crates and their settings.
    for page in pages().iter().filter(|page| page.folder() != "docs/adr") {
        for (number, span) in page.code_spans() {
            let is_part = |c: &char| c.is_ascii_lowercase() || *c == '_';
            let metric =
                span.strip_prefix("fedshield_").map(|rest| rest.chars().take_while(is_part));
            let known = match metric.map(Iterator::collect::<String>) {
                // The exporter may add what counters end in.
                Some(name) => somewhere(name.strip_suffix("_total").unwrap_or(&name)),
                None => !is_kebab(&span) || somewhere(&format!("\"{span}")),
            };
            if !known {
                missing.push(format!("{}:{number}: {span}", page.path));
            }
        }
    }
    none("conditions and metrics that are named and missing", &missing);
}
