//! Progress lines: JSON objects on the program's standard output, one for each optimiser step.

use serde::Deserialize;

use crate::jobs::TrainingStep;

/// One step, as the program reports it. A loss that is not a number is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProgressLine {
    /// Steps done.
    pub(super) number: u64,
    pub(super) loss: f64,
    pub(super) tokens_per_second: f64,
}

#[derive(Deserialize)]
struct Raw {
    step: u64,
    loss: Option<f64>,
    #[serde(default)]
    tokens_per_second: Option<f64>,
}

impl ProgressLine {
    /// Parses a line; `None` if it is not a progress line, which is logged instead.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        // Python writes NaN and Infinity, C writes nan and inf, and 1e999 overflows an f64.
        let raw: Raw =
            serde_json::from_str(text).or_else(|_| serde_json::from_str(&with_nulls(text))).ok()?;
        Some(Self {
            number: raw.step,
            loss: raw.loss.unwrap_or(f64::NAN),
            tokens_per_second: raw.tokens_per_second.unwrap_or(0.0),
        })
    }

    pub(super) fn step(&self, steps: usize) -> TrainingStep {
        TrainingStep {
            step: self.number,
            steps: steps as u64,
            loss: self.loss,
            tokens_per_second: self.tokens_per_second,
        }
    }
}

/// The line with `null` for every bare word or number that is not valid JSON.
fn with_nulls(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([':', '"']) {
        let (before, after) = rest.split_at(at + 1);
        plain.push_str(before);
        rest = after;
        if before.ends_with('"') {
            // A whole string is copied unchanged.
            let mut escaped = false;
            let end = rest.bytes().position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            let end = end.map_or(rest.len(), |end| end + 1);
            plain.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let value = rest.trim_start();
        let end = value.find([',', '}', ']']).unwrap_or(value.len());
        let (word, after) = value.split_at(end);
        let is_odd = word.trim().parse::<f64>().is_ok_and(|number| !number.is_finite());
        if is_odd {
            plain.push_str("null");
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_and_everything_else_is_left() {
        let line = r#"{"step": 3, "loss": 1.5, "tokens_per_second": 100.0, "more": [1]}"#;
        let expected = ProgressLine { number: 3, loss: 1.5, tokens_per_second: 100.0 };
        assert_eq!(ProgressLine::parse(line), Some(expected));
        for text in ["", "loading", "{", r#"{"loss": 1.0}"#, "[1]"] {
            assert_eq!(ProgressLine::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_loss_that_is_no_number_is_noticed() {
        let words = ["NaN", "Infinity", "-Infinity", "null", "nan", "-nan", "inf", "-inf", "1e999"];
        for loss in words {
            for text in [
                format!(r#"{{"step": 1, "loss": {loss}}}"#),
                format!(r#"{{"note": "a: \"nan\", b", "loss":{loss}, "step":1, "more": [1]}}"#),
                format!(r#"{{"loss": {loss}, "tokens_per_second": {loss}, "step": 1}}"#),
            ] {
                let line = ProgressLine::parse(&text).unwrap_or_else(|| panic!("{text}"));
                assert!(line.loss.is_nan(), "{text}");
            }
        }
    }
}
