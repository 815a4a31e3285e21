//! The picture: loss on the union over bytes sent, one line for each algorithm, levels for what
//! sends nothing.

use std::fmt::Write as _;

use crate::cell::Done;
use crate::report::{Row, rows};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
/// Room for labels: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (60.0, 170.0, 20.0, 46.0);
const COLOURS: [&str; 6] = ["#1b6ca8", "#d1495b", "#2a9d5c", "#8d6a9f", "#c58b1b", "#555555"];

/// Where a value falls on the picture.
struct Axes {
    bytes: f64,
    low: f64,
    high: f64,
}

impl Axes {
    fn x(&self, bytes: f64) -> f64 {
        MARGIN.0 + bytes / self.bytes * (WIDTH - MARGIN.0 - MARGIN.1)
    }

    fn y(&self, loss: f64) -> f64 {
        let height = HEIGHT - MARGIN.2 - MARGIN.3;
        MARGIN.2 + (self.high - loss) / (self.high - self.low) * height
    }
}

/// The picture as SVG; the base model is left out where it would flatten the rest.
pub(crate) fn svg(cells: &[Done]) -> String {
    let mut rows = rows(cells);
    rows.retain(|row| row.series != "base" && row.mean().is_finite());
    let bytes = rows.iter().map(|row| row.bytes).fold(1.0, f64::max) * 1.05;
    let sent = |row: &&Row| row.bytes > 0.0;
    let shown = rows.iter().filter(|row| row.bytes > 0.0 || row.series == "centralised");
    let highest = shown.clone().map(Row::mean).fold(f64::NEG_INFINITY, f64::max);
    let lowest = rows.iter().map(Row::mean).fold(f64::INFINITY, f64::min);
    let pad = (highest - lowest).max(1e-3) * 0.1;
    let axes = Axes { bytes, low: lowest - pad, high: highest + pad };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         fill=\"white\"/>\n"
    );
    frame(&mut text, &axes);
    let mut series: Vec<&str> = Vec::new();
    for row in &rows {
        if !series.contains(&row.series.as_str()) && row.mean() <= axes.high {
            series.push(&row.series);
        }
    }
    for (index, name) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let label = MARGIN.2 + 14.0 + 18.0 * index as f64;
        let right = WIDTH - MARGIN.1 + 10.0;
        let _ = writeln!(
            text,
            "<rect x=\"{right}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{label:.1}\">{name}</text>",
            label - 10.0,
            right + 15.0
        );
        let mut points: Vec<&Row> = rows.iter().filter(|row| row.series == *name).collect();
        if !points.iter().any(sent) {
            level(&mut text, &axes, points[0].mean(), colour);
            continue;
        }
        points.sort_by(|a, b| a.bytes.total_cmp(&b.bytes));
        curve(&mut text, &axes, &points, colour);
    }
    text.push_str("</svg>\n");
    text
}

fn frame(text: &mut String, axes: &Axes) {
    let (left, right) = (MARGIN.0, WIDTH - MARGIN.1);
    let (top, bottom) = (MARGIN.2, HEIGHT - MARGIN.3);
    let _ = writeln!(
        text,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{left}\" y=\"{:.1}\">MB sent by a member in the whole run</text>\n\
         <text transform=\"translate(14 {bottom}) rotate(-90)\">held-out loss on the union, nats per token</text>",
        HEIGHT - 10.0
    );
    for tick in 0..=4 {
        let part = f64::from(tick) / 4.0;
        let loss = axes.low + part * (axes.high - axes.low);
        let (y, x) = (axes.y(loss), axes.x(part * axes.bytes));
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{loss:.2}</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>",
            left - 5.0,
            y + 4.0,
            bottom + 16.0,
            part * axes.bytes / 1e6
        );
    }
}

fn level(text: &mut String, axes: &Axes, loss: f64, colour: &str) {
    let (y, right) = (axes.y(loss), WIDTH - MARGIN.1);
    let _ = writeln!(
        text,
        "<path d=\"M{} {y:.1}H{right}\" stroke=\"{colour}\" stroke-dasharray=\"5 4\"/>",
        MARGIN.0
    );
}

fn curve(text: &mut String, axes: &Axes, points: &[&Row], colour: &str) {
    let mut path = String::new();
    for (index, row) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let (x, y) = (axes.x(row.bytes), axes.y(row.mean()));
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        let rate = row.name.trim_matches('`').split('@').nth(1).unwrap_or_default();
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{rate}</text>",
            x + 6.0,
            y - 6.0
        );
    }
    let _ = writeln!(
        text,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
    );
}
