//! The index of decision records has each of them, with its title and its status.

use super::pages::{files, none, read};

#[test]
fn every_record_is_in_the_index_with_its_title_and_status() {
    let index = read("docs/adr/README.md");
    let mut wrong = Vec::new();
    for path in files() {
        let Some(name) = path.strip_prefix("docs/adr/").filter(|name| *name != "README.md") else {
            continue;
        };
        let text = read(&path);
        let number = name.split('-').next().unwrap_or_default();
        let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let title = title.and_then(|line| line.strip_prefix(number)?.strip_prefix(": "));
        let status = text.lines().find_map(|line| line.strip_prefix("Status: "));
        let (Some(title), Some(status)) = (title, status) else {
            wrong.push(format!("{path}: `# {number}: Title` and `Status: ...` are wanted"));
            continue;
        };
        let word = status.split([' ', '.', ',']).next().unwrap_or_default();
        let row = format!("| [{number}]({name}) {title} | {word}");
        if !index.lines().any(|line| line.starts_with(&row)) {
            wrong.push(format!("docs/adr/README.md lacks: {row} |"));
        }
    }
    none("decision records", &wrong);
}
