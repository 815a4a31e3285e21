//! The tables of a report, in Markdown.

use std::fmt::Write as _;

use fedshield_train::ExampleLoss;

use crate::bootstrap::{Interval, interval, mean};
use crate::rows::{Chosen, Row, Rows, SeedRow};

/// Losses of every row at every member.
pub(crate) fn losses(rows: &Rows, names: &[String]) -> String {
    let mut text = head("loss in nats per token", names);
    text.push_str(" **union** | seeds | within | MB sent |\n|---|");
    text.push_str(&"---|".repeat(names.len() + 4));
    let first = [&rows.base, &rows.alone, &rows.central];
    let all = first.into_iter().chain(&rows.rates).chain(&rows.federated).chain(&rows.best);
    for row in all.filter(|row| !row.seeds.is_empty()) {
        let _ = write!(text, "\n| {} |", row.name);
        for member in 0..names.len() {
            let _ = write!(text, " {:.3} |", row.at(member));
        }
        let (union, spread, count) = (row.union(), row.spread(), row.seeds.len());
        let _ = write!(text, " **{union:.3}** | {count} | ±{spread:.3} |");
        let sent = match row.bytes() > 0.0 {
            true => format!(" {:.2} |", row.bytes() / 1e6),
            false => " |".to_owned(),
        };
        text.push_str(&sent);
    }
    text + "\n"
}

/// What each federated row is worth: against alone at each member, against centralised on the
/// union.
pub(crate) fn worth(rows: &Rows, names: &[String]) -> String {
    let mut text = head("change against alone", names);
    text.push_str(" union | union against centralised |\n|---|");
    text.push_str(&"---|".repeat(names.len() + 2));
    for row in rows.federated.iter().chain(&rows.best) {
        let _ = write!(text, "\n| {} |", row.name);
        for member in 0..names.len() {
            let of = |seed: &SeedRow| seed.members[member].clone();
            let _ = write!(text, " {} |", change(row, &rows.alone, of));
        }
        let union = |seed: &SeedRow| seed.members.concat();
        let against = [&rows.alone, &rows.central].map(|other| change(row, other, union));
        let _ = write!(text, " {} | {} |", against[0], against[1]);
    }
    text + "\n"
}

/// What members ended up with, over all seeds.
pub(crate) fn choices(rows: &Rows) -> String {
    let mut text = String::new();
    for row in &rows.best {
        let chosen = || row.seeds.iter().flat_map(|seed| &seed.chosen);
        let count = |kind: Chosen| chosen().filter(|it| **it == kind).count();
        let _ = writeln!(
            text,
            "* {}: {} times the common adapter, {} the one trained on at home, {} the one alone",
            row.name,
            count(Chosen::Common),
            count(Chosen::Home),
            count(Chosen::Alone)
        );
    }
    text
}

/// Generated answers, where there are any.
pub(crate) fn answers(rows: &Rows) -> String {
    let mut text = String::new();
    let first = [&rows.base, &rows.alone, &rows.central];
    for row in first.into_iter().chain(&rows.federated).chain(&rows.best) {
        let found: Vec<_> = row.seeds.iter().filter_map(|seed| seed.answers).collect();
        if found.is_empty() {
            continue;
        }
        if text.is_empty() {
            text.push_str("| answers as sets | equal | F1 | answers |\n|---|---|---|---|");
        }
        let sum = |part: fn(&(f64, f64, f64)) -> f64| found.iter().map(part).sum::<f64>();
        let (exact, f1, count) = (sum(|it| it.0), sum(|it| it.1), sum(|it| it.2));
        let (exact, f1) = (100.0 * exact / count, f1 / count);
        let _ = write!(text, "\n| {} | {exact:.0}% | {f1:.3} | {count} |", row.name);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn head(what: &str, names: &[String]) -> String {
    let mut text = format!("| {what} |");
    for name in names {
        let _ = write!(text, " {name} |");
    }
    text
}

/// By how much `row` is below (-) or above (+) `other` in the seeds that both have, in percent of
/// the other's loss, with the interval.
fn change(row: &Row, other: &Row, of: impl Fn(&SeedRow) -> Vec<ExampleLoss>) -> String {
    let mut pairs = Vec::new();
    for seed in &row.seeds {
        let found = other.seeds.iter().find(|it| it.seed == seed.seed);
        pairs.extend(found.map(|found| (of(seed), of(found))));
    }
    let Some(Interval { mean: difference, low, high }) = interval(&pairs) else {
        return String::new();
    };
    let whole = mean(pairs.iter().map(|(_, other)| fedshield_train::mean_loss(other)));
    let percent = |value: f64| format!("{:+.1}", 100.0 * value / whole);
    format!("{}% [{}, {}]", percent(difference), percent(low), percent(high))
}
