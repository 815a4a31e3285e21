//! How the report of `data check` is rendered.

use fedshield_protocol::hidden::{harmless, harmless_line};
use fedshieldd::offline::{
    DataReport, FileSummary, Histogram, LengthSummary, Part, Place, Rendered,
};

use crate::screen::Colours;
use crate::table::{Table, facts};
use crate::units;

/// Width of a histogram's longest bar.
const BAR: usize = 40;

/// The report as text.
pub(super) fn render(report: &DataReport, colours: Colours) -> String {
    let mut text = files(&report.files, colours);
    let cut = |count: usize, first: &Option<Place>| match first {
        Some(place) => colours.odd(&format!("{count}, the first at {place}")),
        None => "none".to_owned(),
    };
    text.push('\n');
    text.push_str(&facts(
        colours,
        &[
            ("template", harmless_line(&report.template)),
            ("to train on", units::count(report.train as u64, "example")),
            ("held out", units::count(report.held_out as u64, "example")),
            ("for the test", units::count(report.test as u64, "example")),
            (
                "cut",
                format!(
                    "{} (longer than {} tokens)",
                    cut(report.truncated, &report.truncated_first),
                    report.max_length
                ),
            ),
            (
                "left out",
                format!("{} (no answer left)", cut(report.dropped, &report.dropped_first)),
            ),
            ("repeated", counted(report.duplicates, colours)),
            ("leaked", leaks(report, colours)),
        ],
    ));
    text.push('\n');
    text.push_str(&lengths(report, colours));
    text.push_str(&histogram(&report.histogram, colours));
    for (title, repeats) in
        [("repeated", &report.duplicates_first), ("held out, but trained on", &report.leaked_first)]
    {
        if !repeats.is_empty() {
            text.push_str(&format!("\n{}\n", colours.odd(title)));
            for repeat in repeats {
                text.push_str(&format!("  {} is {} again\n", repeat.again, repeat.first));
            }
        }
    }
    if let Some(rendered) = &report.rendered {
        text.push_str(&example(rendered, colours));
    }
    text.push_str(&unknown(report, colours));
    if !report.problems.is_empty() {
        let left_out = if report.skips { ", left out" } else { "" };
        let title = format!("lines that cannot be used{left_out}: {}", report.problem_count);
        text.push_str(&format!("\n{}\n", colours.bad(&title)));
        for problem in &report.problems {
            // A reason quotes the file, so it may contain anything.
            let line = format!("  {}: {}", problem.place, problem.reason);
            text.push_str(&format!("{}\n", harmless_line(&line)));
        }
    }
    text
}

fn counted(count: usize, colours: Colours) -> String {
    match count {
        0 => "none".to_owned(),
        count => colours.odd(&units::count(count as u64, "example")),
    }
}

fn leaks(report: &DataReport, colours: Colours) -> String {
    match (report.leaked, report.leaked_questions) {
        (0, 0) => "no held-out example is trained on".to_owned(),
        (whole, questions) => colours.odd(&format!(
            "{whole} held-out examples are trained on, {questions} more ask the same question"
        )),
    }
}

fn files(files: &[FileSummary], colours: Colours) -> String {
    let mut table = Table::new(&["file", "for", "forms", ">unusable"]);
    for file in files {
        table.row([
            file.path.display().to_string(),
            match file.part {
                Part::Train => "training",
                Part::HeldOut => "held out",
                Part::Test => "test",
            }
            .to_owned(),
            forms(file),
            file.bad.to_string(),
        ]);
    }
    table.render(colours)
}

fn forms(file: &FileSummary) -> String {
    let forms = file.forms.iter().map(|(form, count)| format!("{count} {}", form.name()));
    forms.collect::<Vec<_>>().join(", ")
}

/// Fields that are not used.
fn unknown(report: &DataReport, colours: Colours) -> String {
    if report.unknown.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", colours.odd("fields of no known meaning, not looked at"));
    for (name, count) in &report.unknown {
        let examples = units::count(*count as u64, "example");
        text.push_str(&format!("  {}: {examples}\n", harmless_line(name)));
    }
    if report.unknown_more > 0 {
        let examples = units::count(report.unknown_more as u64, "example");
        text.push_str(&format!("  others: {examples}\n"));
    }
    text
}

fn lengths(report: &DataReport, colours: Colours) -> String {
    let headings = ["tokens", ">total", ">min", ">median", ">p90", ">p95", ">p99", ">max"];
    let mut table = Table::new(&headings);
    let mut row = |name: &str, l: &LengthSummary| {
        let numbers = [l.total, l.min, l.median, l.p90, l.p95, l.p99, l.max];
        table.row(std::iter::once(name.to_owned()).chain(numbers.iter().map(ToString::to_string)));
    };
    row("example", &report.uncut_tokens);
    row("after the cut", &report.tokens);
    row("with a loss", &report.response_tokens);
    table.render(colours)
}

fn histogram(histogram: &Histogram, colours: Colours) -> String {
    let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1);
    let mut table = Table::new(&[">tokens before the cut", ">examples", ""]);
    for (bin, count) in histogram.counts.iter().enumerate() {
        let from = bin * histogram.width + 1;
        // Rounded up, so that a non-empty bin has a bar.
        let bar = "#".repeat((count * BAR).div_ceil(most));
        let range = format!("{from} to {}", from + histogram.width - 1);
        table.row([range, count.to_string(), bar]);
    }
    format!("\n{}", table.render(colours))
}

/// The loss mask is green on a terminal and between marks everywhere else.
fn example(rendered: &Rendered, colours: Colours) -> String {
    let plain = colours == Colours::none();
    let how = if plain { "between >> and <<" } else { "in green" };
    let title =
        format!("{} as the model sees it; what carries a loss stands {how}", rendered.place);
    let mut text = format!("\n{}\n", colours.strong(&title));
    for (run, labelled) in &rendered.runs {
        let run = harmless(run);
        match (labelled, plain) {
            (false, _) => text.push_str(&run),
            (true, true) => text.push_str(&format!(">>{run}<<")),
            (true, false) => text.push_str(&colours.good(&run)),
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use fedshieldd::offline::Unit;

    use super::*;

    fn rendered() -> Rendered {
        let runs = vec![("ask\u{1b}[2J ".to_owned(), false), ("answer".to_owned(), true)];
        let place = Place { path: "a.jsonl".into(), line: 3, unit: Unit::Line };
        Rendered { place, segments: Vec::new(), runs, tokens: Vec::new() }
    }

    #[test]
    fn the_loss_mask_is_visible_without_colours_and_data_cannot_steer_the_terminal() {
        let text = example(&rendered(), Colours::none());
        assert!(text.starts_with("\na.jsonl:3 as the model sees it"), "{text}");
        assert!(text.ends_with("ask\u{fffd}[2J >>answer<<\n"), "{text}");
    }

    #[test]
    fn bars_are_as_long_as_the_counts_say() {
        let text = histogram(&Histogram { width: 20, counts: vec![1, 0, 80] }, Colours::none());
        let bars: Vec<usize> = text.lines().skip(2).map(|l| l.matches('#').count()).collect();
        assert_eq!(bars, [1, 0, BAR]);
        assert!(text.contains("41 to 60"), "{text}");
    }
}
