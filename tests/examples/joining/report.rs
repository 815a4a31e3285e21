//! The report: tables in Markdown, and curves.

use std::fmt::Write as _;

use crate::Outcome;
use crate::arm::Arm;
use crate::options::{Measure, Options};
use crate::plot;
use crate::results::{Results, replace};
use crate::rows::{Collector, Rows};
use crate::tables;

/// Writes `validation.md` or `test.md` into the folder of the results, with three pictures.
pub(crate) fn write(
    options: &Options,
    arms: &[Arm],
    names: &[String],
    results: &Results,
) -> Outcome<()> {
    let rows = Collector { options, arms, names, results }.rows()?;
    let text = markdown(options, &rows, names);
    println!("{text}");
    let measure = options.measure.name();
    replace(&options.out.join(format!("{measure}.md")), text.as_bytes())?;
    for axis in plot::Axis::ALL {
        let path = options.out.join(format!("{measure}-by-{}.svg", axis.name()));
        replace(&path, plot::svg(&rows, axis).as_bytes())?;
    }
    Ok(())
}

fn markdown(options: &Options, rows: &Rows, names: &[String]) -> String {
    let seeds: Vec<String> = options.seeds.iter().map(u64::to_string).collect();
    let measured = match options.measure {
        Measure::Validation => "by which settings are chosen: no test example was looked at",
        Measure::Test => "by which nothing was chosen",
    };
    let mut text = format!(
        "Loss on the {} part, {measured}. {} local steps of every adapter, seeds {}.\n\n",
        options.measure.name(),
        options.total,
        seeds.join(", ")
    );
    text.push_str(&tables::losses(rows, names));
    if !rows.alone.seeds.is_empty() {
        let _ = write!(text, "\n{}", tables::worth(rows, names));
    }
    for more in [tables::choices(rows), tables::answers(rows)] {
        if !more.is_empty() {
            let _ = write!(text, "\n{more}");
        }
    }
    text
}
