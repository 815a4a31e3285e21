//! The index reaches everything under `docs/`.

use std::collections::BTreeSet;

use super::links::{resolve, targets};
use super::pages::{Page, files, none, read};

/// Kinds of files that a reader may want to open.
const KINDS: &[&str] = &["md", "py", "sh", "svg", "service"];

#[test]
fn every_page_can_be_reached_from_the_index() {
    let mut reached = BTreeSet::new();
    let mut open = vec!["docs/README.md".to_owned()];
    while let Some(path) = open.pop() {
        if !reached.insert(path.clone()) || !path.ends_with(".md") {
            continue;
        }
        let page = Page { text: read(&path), path };
        for (_, line) in page.prose() {
            let found = targets(line).into_iter().filter_map(|target| resolve(&page, &target));
            open.extend(found.map(|(path, _)| path).filter(|path| {
                path.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind))
            }));
        }
    }
    let lost: Vec<String> = files()
        .into_iter()
        .filter(|path| path.starts_with("docs/") || path.ends_with("README.md"))
        .filter(|path| path.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind)))
        .filter(|path| !reached.contains(path))
        .collect();
    none("not reached from docs/README.md", &lost);
}
