//! The glossary lists words that are not used, and what is said instead.

use super::pages::{Page, none, pages, read};

/// The first column of the glossary's table of words that are not used.
fn forbidden() -> Vec<String> {
    let glossary = read("docs/GLOSSARY.md");
    let (_, section) =
        glossary.split_once("## Words that are not used").expect("the glossary has the section");
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next())
        .skip(2)
        .flat_map(|cell| cell.split(',').map(|word| word.trim().to_lowercase()))
        .filter(|word| !word.is_empty())
        .collect()
}

/// A page's text in lower case without code, table of those words and links' targets, on one line.
fn prose(page: &Page) -> String {
    let own_table = page.path == "docs/GLOSSARY.md";
    let mut lines = Vec::new();
    for (_, line) in page.prose() {
        if own_table && line == "## Words that are not used" {
            break;
        }
        let line: Vec<&str> = line.split('`').step_by(2).collect();
        lines.push(line.join(" x "));
    }
    let text = lines.join(" ").to_lowercase();
    let mut parts = text.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + " " + part.split_once(')').map_or(part, |(_, after)| after)
    })
}

/// Whether `words` stand in `text`, not inside other words.
fn has(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + words.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[test]
fn the_pages_use_the_words_of_the_glossary() {
    let forbidden = forbidden();
    assert!(forbidden.len() > 10, "{forbidden:?}");
    let mut found = Vec::new();
    for page in pages() {
        let text = prose(&page);
        found.extend(
            forbidden
                .iter()
                .filter(|words| has(&text, words))
                .map(|words| format!("{}: {words}", page.path)),
        );
    }
    none("words that are not used", &found);
}

#[test]
fn only_whole_words_count() {
    assert!(has("in doubt, it asks", "doubt"));
    assert!(!has("undoubtedly", "doubt"));
}
