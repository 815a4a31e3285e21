//! Every link to a file or a heading of the repository leads there.

use super::anchors::anchor;
use super::pages::{Page, none, pages, read, root};

/// Targets of `[text](target)` in a line, without those in code.
pub(crate) fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect();
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()))
        .collect()
}

/// A target from the root of the repository, with its anchor; `None` for one that leads out of the
/// repository.
pub(crate) fn resolve(page: &Page, target: &str) -> Option<(String, Option<String>)> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading.to_owned())),
        None => (target, None),
    };
    if path.is_empty() {
        return Some((page.path.clone(), heading));
    }
    let mut parts: Vec<&str> = page.folder().split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    Some((parts.join("/"), heading))
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        for (number, line) in page.prose() {
            for target in targets(line) {
                let Some((path, heading)) = resolve(&page, &target) else { continue };
                let whole = root().join(&path);
                let there = whole.exists()
                    && heading.is_none_or(|heading| {
                        whole.is_file()
                            && read(&path)
                                .lines()
                                .filter_map(|line| line.strip_prefix('#'))
                                .any(|line| anchor(line.trim_start_matches('#')) == heading)
                    });
                if !there {
                    broken.push(format!("{}:{number}: {target}", page.path));
                }
            }
        }
    }
    none("links that lead nowhere", &broken);
}
