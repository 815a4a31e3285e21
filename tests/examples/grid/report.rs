//! The table: means over seeds, and how far the seeds lie apart.

use std::fmt::Write as _;

use crate::cell::{Done, Method};

/// One row of the report: a method over all its seeds. Every member's local-only adapter makes one
/// row together.
pub(crate) struct Row {
    pub name: String,
    /// Held-out loss at each member, mean over seeds; empty for local-only adapters on others'
    /// data.
    pub losses: Vec<f64>,
    /// On all held-out tokens, one for each seed.
    pub unions: Vec<f64>,
    /// Bytes a member sends, mean over seeds.
    pub bytes: f64,
    /// Of the plot: what is drawn together.
    pub series: String,
}

impl Row {
    pub(crate) fn mean(&self) -> f64 {
        mean(&self.unions)
    }

    /// Largest distance of a seed from the mean.
    fn spread(&self) -> f64 {
        let mean = self.mean();
        self.unions.iter().map(|u| (u - mean).abs()).fold(0.0, f64::max)
    }
}

/// The rows there are results for, in reading order.
pub(crate) fn rows(cells: &[Done]) -> Vec<Row> {
    let mut methods: Vec<Method> = Vec::new();
    for cell in cells {
        if !methods.contains(&cell.method) {
            methods.push(cell.method);
        }
    }
    let rank = |method: &Method| match method {
        Method::Base => 0,
        Method::Local(_) => 1,
        Method::Centralised => 2,
        Method::Federated(..) => 3,
    };
    methods.sort_by_key(|method| (rank(method), method.to_string()));
    let mut rows = local_rows(cells);
    for method in methods.into_iter().filter(|method| !matches!(method, Method::Local(_))) {
        let found: Vec<&Done> = cells.iter().filter(|cell| cell.method == method).collect();
        let at = |m: usize| mean_of(found.iter().map(|cell| cell.result.losses[m]));
        let row = Row {
            name: format!("`{method}`"),
            losses: (0..found[0].result.losses.len()).map(at).collect(),
            unions: found.iter().map(|cell| cell.result.union).collect(),
            bytes: mean_of(found.iter().map(|cell| cell.result.bytes as f64)),
            series: method.to_string().split('@').next().unwrap_or_default().to_owned(),
        };
        match method {
            Method::Base => rows.insert(0, row),
            _ => rows.push(row),
        }
    }
    rows
}

/// Local-only adapters: each at home, and each on everybody's data.
fn local_rows(cells: &[Done]) -> Vec<Row> {
    let locals: Vec<(usize, &Done)> = cells
        .iter()
        .filter_map(|cell| match cell.method {
            Method::Local(member) => Some((member, cell)),
            _ => None,
        })
        .collect();
    let Some(members) = locals.iter().map(|(member, _)| member + 1).max() else {
        return Vec::new();
    };
    let mut seeds: Vec<u64> = locals.iter().map(|(_, cell)| cell.seed).collect();
    seeds.dedup();
    let at_home = |m: usize| {
        let own = locals.iter().filter(|(member, _)| *member == m);
        mean_of(own.map(|(_, cell)| cell.result.losses[m]))
    };
    let of_seed = |seed: u64| locals.iter().filter(move |(_, cell)| cell.seed == seed);
    let home_union = |seed: &u64| {
        let loss =
            |(m, cell): &(usize, &Done)| cell.result.losses[*m] * cell.result.tokens[*m] as f64;
        let tokens = |(m, cell): &(usize, &Done)| cell.result.tokens[*m] as f64;
        of_seed(*seed).map(loss).sum::<f64>() / of_seed(*seed).map(tokens).sum::<f64>()
    };
    let best = |seed: &u64| {
        of_seed(*seed).map(|(_, cell)| cell.result.union).fold(f64::INFINITY, f64::min)
    };
    let row = |name: &str, losses, unions| Row {
        name: name.to_owned(),
        losses,
        unions,
        bytes: 0.0,
        series: name.to_owned(),
    };
    vec![
        row(
            "local-only, each at home",
            (0..members).map(at_home).collect(),
            seeds.iter().map(home_union).collect(),
        ),
        row("best local-only on the union", Vec::new(), seeds.iter().map(best).collect()),
    ]
}

/// A table for people.
pub(crate) fn markdown(cells: &[Done]) -> String {
    let rows = rows(cells);
    let members = rows.iter().map(|row| row.losses.len()).max().unwrap_or(0);
    let mut text = String::from("| held-out loss at |");
    for m in 1..=members {
        let _ = write!(text, " {m} |");
    }
    text.push_str(" **union** | seeds within | MB sent by a member |\n|---|");
    text.push_str(&"---|".repeat(members + 3));
    for row in &rows {
        let _ = write!(text, "\n| {} |", row.name);
        for m in 0..members {
            match row.losses.get(m) {
                Some(loss) => text.push_str(&format!(" {loss:.3} |")),
                None => text.push_str(" |"),
            }
        }
        let _ = write!(text, " **{:.3}** | ±{:.3} |", row.mean(), row.spread());
        match row.bytes > 0.0 {
            true => text.push_str(&format!(" {:.2} |", row.bytes / 1e6)),
            false => text.push_str(" |"),
        }
    }
    text.push('\n');
    text
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    mean(&values.collect::<Vec<_>>())
}
