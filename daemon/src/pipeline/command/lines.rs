//! Progress lines: JSON objects on the program's standard output, one for each optimiser step.

use serde::Deserialize;

use super::super::observer::TrainingStep;

/// One step, as the program reports it. A loss that is no number is NaN.
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
    /// Reads a line; `None` if it is something else, which goes to the log.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        // Python writes these words for numbers that JSON does not have.
        let plain = text.replace("-Infinity", "null").replace("Infinity", "null");
        let raw: Raw = serde_json::from_str(&plain.replace("NaN", "null")).ok()?;
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
        for loss in ["NaN", "Infinity", "-Infinity", "null"] {
            let line = ProgressLine::parse(&format!(r#"{{"step": 1, "loss": {loss}}}"#)).unwrap();
            assert!(line.loss.is_nan(), "{loss}");
        }
    }
}
