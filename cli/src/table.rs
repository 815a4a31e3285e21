//! Aligned, human-readable tables.

use fedshield_protocol::hidden::harmless_line;

use crate::screen::Colours;

/// The alignment of a cell in its column. Numbers are right-aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings, two spaces between columns, no lines.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; one that begins with `>` aligns its column to the right.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let columns = headings
            .iter()
            .map(|heading| match heading.strip_prefix('>') {
                Some(rest) => (rest.to_owned(), Align::Right),
                None => ((*heading).to_owned(), Align::Left),
            })
            .collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row. Missing cells stay empty, cells past the last heading are dropped. Cells are
    /// plain text and may come from elsewhere: control characters are replaced.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| harmless_line(cell.as_ref())).collect());
    }

    /// The text, one line for each row, each line ended.
    #[must_use]
    pub fn render(&self, colours: Colours) -> String {
        let widths: Vec<usize> = self.columns.iter().enumerate().map(|c| self.width(c)).collect();
        let headings: Vec<String> =
            self.columns.iter().map(|(heading, _)| heading.clone()).collect();
        let mut text = String::new();
        if headings.iter().any(|heading| !heading.is_empty()) {
            text.push_str(&colours.strong(&self.line(&headings, &widths)));
            text.push('\n');
        }
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn width(&self, (index, (heading, _)): (usize, &(String, Align))) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        cells.chain([heading]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, ((_, align), width)) in self.columns.iter().zip(widths).enumerate() {
            let cell = cells.get(index).map_or("", String::as_str);
            let space = " ".repeat(width.saturating_sub(cell.chars().count()));
            if index > 0 {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&format!("{cell}{space}")),
                Align::Right => line.push_str(&format!("{space}{cell}")),
            }
        }
        line.trim_end().to_owned()
    }
}

/// Label and value on each line, with the values aligned. Values may have colours: the caller
/// sanitises those that come from elsewhere.
#[must_use]
pub fn facts(colours: Colours, list: &[(&str, String)]) -> String {
    let width = list.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, value) in list {
        let space = " ".repeat(width - label.chars().count() + 2);
        text.push_str(&format!("{}{space}{value}\n", colours.faint(label)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let mut table = Table::new(&["member", ">loss", "state"]);
        table.row(["bank", "2.3456", "done"]);
        table.row(["hospital", "10.1", ""]);
        assert_eq!(
            table.render(Colours::none()),
            "member      loss  state\nbank      2.3456  done\nhospital    10.1\n"
        );
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let mut table = Table::new(&["name", "x"]);
        table.row(["ba\u{1b}[1A\nnk\u{202e}", "1"]);
        assert_eq!(
            table.render(Colours::none()),
            "name        x\nba\u{fffd}[1A\u{fffd}nk\u{fffd}  1\n"
        );
    }

    #[test]
    fn facts_line_up() {
        let text = facts(Colours::none(), &[("name", "bank".into()), ("identity", "ab12".into())]);
        assert_eq!(text, "name      bank\nidentity  ab12\n");
    }

    #[test]
    fn letters_outside_ascii_count_once() {
        let mut table = Table::new(&["name", "x"]);
        table.row(["Zürich", "1"]);
        table.row(["Geneva", "2"]);
        assert_eq!(table.render(Colours::none()), "name    x\nZürich  1\nGeneva  2\n");
    }
}
