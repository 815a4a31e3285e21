//! Learning curves: validation loss of the common adapter on the union, round by round, with base,
//! alone and centralised as lines.

use std::fmt::Write as _;

use fedshield_train::mean_loss;

use crate::bootstrap::mean;
use crate::progress::Point;
use crate::rows::{Row, Rows};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Free space for labels: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (60.0, 190.0, 24.0, 46.0);
const COLOURS: [&str; 8] =
    ["#1b6ca8", "#d1495b", "#2a9d5c", "#8d6a9f", "#c58b1b", "#3aa6b9", "#7a5c3e", "#555555"];

/// What a curve is drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Steps,
    Bytes,
    Seconds,
}

impl Axis {
    pub(crate) const ALL: [Self; 3] = [Self::Steps, Self::Bytes, Self::Seconds];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Steps => "local steps of one member (a point for each round)",
            Self::Bytes => "MB sent by one member",
            Self::Seconds => "seconds of training, the slowest member of each round",
        }
    }

    fn of(self, point: &Point) -> f64 {
        match self {
            Self::Steps => point.steps as f64,
            Self::Bytes => point.bytes as f64 / 1e6,
            Self::Seconds => point.seconds,
        }
    }
}

/// A curve, or a level.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Where a value falls on the picture. Both axes begin at zero.
struct Frame {
    right: f64,
    top: f64,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        MARGIN.0 + value / self.right * (WIDTH - MARGIN.0 - MARGIN.1)
    }

    fn y(&self, loss: f64) -> f64 {
        let height = HEIGHT - MARGIN.2 - MARGIN.3;
        MARGIN.2 + (1.0 - (loss / self.top).min(1.0)) * height
    }
}

/// The picture as SVG.
pub(crate) fn svg(rows: &Rows, axis: Axis) -> String {
    let base = level(&rows.base);
    let curves: Vec<Series> =
        rows.federated.iter().map(|row| curve(row, base, axis)).filter(has_points).collect();
    let levels: Vec<Series> = [&rows.base, &rows.alone, &rows.central]
        .into_iter()
        .filter_map(|row| Some(Series { name: row.name.clone(), points: vec![(0.0, level(row)?)] }))
        .collect();
    let frame = frame_of(&curves, &levels);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    draw_axes(&mut text, &frame, axis);
    for (index, series) in levels.iter().enumerate() {
        draw_level(&mut text, &frame, series, COLOURS[COLOURS.len() - 1 - index]);
    }
    for (index, series) in curves.iter().enumerate() {
        draw_curve(&mut text, &frame, series, index);
    }
    text.push_str("</svg>\n");
    text
}

fn has_points(series: &Series) -> bool {
    !series.points.is_empty()
}

/// Validation or test loss of a row without a curve.
fn level(row: &Row) -> Option<f64> {
    let unions = row.seeds.iter().map(|seed| mean_loss(&seed.members.concat()));
    (!row.seeds.is_empty()).then(|| mean(unions))
}

/// Means over seeds, as far as all of them go, from the base on.
fn curve(row: &Row, base: Option<f64>, axis: Axis) -> Series {
    let length = row.seeds.iter().map(|seed| seed.points.len()).min().unwrap_or(0);
    let at = |index: usize| {
        let of = |value: &dyn Fn(&Point) -> f64| {
            mean(row.seeds.iter().map(|seed| value(&seed.points[index])))
        };
        (of(&|point| axis.of(point)), of(&|point| point.union))
    };
    let start = base.filter(|_| length > 0).map(|loss| (0.0, loss));
    let points = start.into_iter().chain((0..length).map(at)).collect();
    Series { name: row.name.clone(), points }
}

/// The frame holds every level and every curve from its second half on; the base model too, if that
/// does not flatten the rest.
fn frame_of(curves: &[Series], levels: &[Series]) -> Frame {
    let later = curves.iter().flat_map(|it| &it.points[it.points.len() / 2..]);
    let others = levels.iter().filter(|it| it.name != "base").flat_map(|it| &it.points);
    let highest = later.chain(others).map(|(_, loss)| *loss).filter(|loss| loss.is_finite());
    let highest = highest.fold(0.0, f64::max);
    let base = levels.iter().find(|it| it.name == "base").map_or(0.0, |it| it.points[0].1);
    let top = if base <= 2.0 * highest { highest.max(base) } else { 1.3 * highest };
    let right = curves.iter().flat_map(|it| &it.points).map(|(x, _)| *x).fold(0.0, f64::max);
    Frame { right: right.max(1e-9), top: (1.05 * top).max(1e-9) }
}

fn draw_axes(text: &mut String, frame: &Frame, axis: Axis) {
    let (left, right) = (MARGIN.0, WIDTH - MARGIN.1);
    let (top, bottom) = (MARGIN.2, HEIGHT - MARGIN.3);
    let _ = writeln!(
        text,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{left}\" y=\"{:.1}\">{}</text>\n\
         <text transform=\"translate(14 {bottom}) rotate(-90)\">loss on the union, nats per \
         token</text>",
        HEIGHT - 10.0,
        axis.label()
    );
    for tick in 0..=4 {
        let part = f64::from(tick) / 4.0;
        let (loss, value) = (part * frame.top, part * frame.right);
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{loss:.2}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>",
            left - 5.0,
            frame.y(loss) + 4.0,
            frame.x(value),
            bottom + 16.0,
        );
    }
}

fn draw_level(text: &mut String, frame: &Frame, series: &Series, colour: &str) {
    let (loss, right) = (series.points[0].1, WIDTH - MARGIN.1);
    let y = frame.y(loss);
    let cut = if loss > frame.top { ", above the cut axis" } else { "" };
    let _ = writeln!(
        text,
        "<path d=\"M{} {y:.1}H{right}\" stroke=\"{colour}\" stroke-dasharray=\"5 4\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{} {loss:.3}{cut}</text>",
        MARGIN.0,
        MARGIN.0 + 30.0,
        y - 4.0,
        escaped(&series.name)
    );
}

fn draw_curve(text: &mut String, frame: &Frame, series: &Series, index: usize) {
    let colour = COLOURS[index % COLOURS.len()];
    let mut path = String::new();
    // What is above a cut axis is left out, not drawn at its edge.
    for (index, (x, loss)) in series.points.iter().filter(|it| it.1 <= frame.top).enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", frame.x(*x), frame.y(*loss));
    }
    let last = series.points.last().map_or(f64::NAN, |it| it.1);
    let (label, right) = (MARGIN.2 + 14.0 + 18.0 * index as f64, WIDTH - MARGIN.1 + 10.0);
    let _ = writeln!(
        text,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>\
         <rect x=\"{right}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{label:.1}\">{} {last:.3}</text>",
        label - 10.0,
        right + 15.0,
        escaped(&series.name)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
