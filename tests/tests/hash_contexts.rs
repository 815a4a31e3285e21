//! Each use of the hash has a context of its own, and `docs/CRYPTO.md` lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of sources whose hashes a member computes.
const SOURCES: [&str; 6] =
    ["he/src", "core/protocol/src", "core/train/src", "net/src", "daemon/src", "cli/src"];

/// Where plain BLAKE3 is meant: so that a person can compare a file's digest with `b3sum`.
const PLAIN: [&str; 1] = ["he/src/hashing.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every source file without its tests and comments, by its path from the root.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            let is_test =
                path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
            match path.is_dir() {
                true if !is_test => walk(&path, files),
                false if !is_test && path.extension().is_some_and(|it| it == "rs") => {
                    files.push(path)
                }
                _ => {}
            }
        }
    }
    let mut files = Vec::new();
    SOURCES.iter().for_each(|folder| walk(&root().join(folder), &mut files));
    let text = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("the source can be read");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code = |line: &&str| !line.trim_start().starts_with("//");
        text.lines().filter(code).collect::<Vec<_>>().join("\n")
    };
    let name = |path: &PathBuf| {
        path.strip_prefix(root()).expect("it lies below").to_string_lossy().into_owned()
    };
    files.iter().map(|path| (name(path), text(path))).collect()
}

/// The texts between quotes that begin with a crate's name and end with one version of the hashing.
fn contexts(text: &str) -> Vec<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    let is_context = |text: &&str| text.starts_with("fedshield") && text.contains(" v1 ");
    quoted.filter(is_context).map(str::to_owned).collect()
}

/// What the streams of `core/train` are for: the rest of their context.
fn purposes(text: &str) -> Vec<String> {
    let calls = text.split("Stream::new(").skip(1).filter_map(|rest| rest.split(')').next());
    calls
        .filter_map(|call| call.split('"').nth(1))
        .map(|it| format!("fedshield-train v1 {it}"))
        .collect()
}

#[test]
fn no_two_uses_of_the_hash_share_a_context() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (file, text) in sources() {
        let own = contexts(&text).into_iter().chain(purposes(&text));
        for context in own.filter(|context| !context.contains('{')) {
            if let Some(other) = seen.insert(context.clone(), file.clone()) {
                panic!("{file} and {other} both hash under {context:?}");
            }
        }
    }
    assert!(seen.len() > 50, "only {} contexts were found", seen.len());
    let listed = listed();
    let used: BTreeSet<String> = seen.into_keys().collect();
    let missing: Vec<_> = used.difference(&listed).collect();
    assert!(missing.is_empty(), "add to \"Contexts of the hash\" in docs/CRYPTO.md: {missing:?}");
    let gone: Vec<_> = listed.difference(&used).collect();
    assert!(gone.is_empty(), "docs/CRYPTO.md lists contexts that nothing uses: {gone:?}");
}

/// Those in the table of docs/CRYPTO.md: a prefix, and what follows it, between backquotes.
fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/CRYPTO.md")).expect("the document is there");
    let section = text.split("## Contexts of the hash").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let mut words = row.split('`').skip(1).step_by(2);
        let prefix = words.next().unwrap_or_default().to_owned();
        words.map(|word| format!("{prefix} {word}")).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn no_hash_is_without_a_context() {
    for (file, text) in sources() {
        let plain =
            ["blake3::hash(", "blake3::Hasher::new()"].iter().any(|call| text.contains(call));
        assert!(!plain || PLAIN.contains(&file.as_str()), "{file} hashes without a context");
    }
}
