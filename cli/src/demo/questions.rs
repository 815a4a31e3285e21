//! The fixed questions at the demo's end: what the base model and the common adapter answer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fedshieldd::config::ComputeDevice;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::{EvaluateQuestion, RenderingChoice, SampleAnswers, Sampling, evaluate};
use serde::Serialize;

use super::DemoArgs;
use crate::command::adapter::offline_failure;
use crate::failure::Failure;
use crate::interrupt::interrupted;

/// Longest answer, in tokens: more than any expected one has.
const ANSWER_TOKENS: usize = 128;
/// How many questions are asked, and how many answers are shown.
const ASKED: usize = 10;
const SHOWN: usize = 3;

/// What was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Answers {
    /// Questions asked.
    pub asked: usize,
    /// By the base model.
    pub base: Right,
    /// With the common adapter.
    pub common: Right,
    /// Some of the questions with both answers.
    pub samples: Vec<SampleAnswers>,
}

/// How many answers were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Right {
    /// Those that have every particular of the expected answer: each number and code, and each name
    /// that the question names.
    pub particulars: usize,
    /// Those that are the expected answer to the letter.
    pub letter: usize,
}

impl Right {
    fn add(&mut self, question: &str, expected: &str, given: &str) {
        let given_words: BTreeSet<&str> = words(given).collect();
        let all = particulars(question, expected).all(|word| given_words.contains(word));
        self.particulars += usize::from(all);
        self.letter += usize::from(expected.trim() == given.trim());
    }
}

/// The words that only this answer can have: with a digit, or with a capital and in the question.
fn particulars<'a>(question: &'a str, expected: &'a str) -> impl Iterator<Item = &'a str> {
    let asked: BTreeSet<&str> = words(question).collect();
    words(expected).filter(move |word| {
        let name = word.starts_with(char::is_uppercase) && asked.contains(word);
        name || word.contains(|c: char| c.is_ascii_digit())
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Asks the questions of `file`; all answers are greedy. It ends early by Ctrl-C.
///
/// # Errors
/// A model, an adapter or a file that cannot be used.
pub async fn ask(
    args: &DemoArgs,
    model: &Path,
    adapter: &Path,
    file: PathBuf,
) -> Result<Answers, Failure> {
    let question = EvaluateQuestion {
        adapters: vec![adapter.to_owned()],
        model: model.to_owned(),
        data: vec![file],
        rendering: RenderingChoice::default(),
        max_length: 512,
        batch_size: 8,
        base_precision: args.base_precision,
        device: ComputeDevice::Auto,
        short_tokens: 0,
        exact: 0,
        samples: ASKED,
        sampling: Sampling { max_tokens: ANSWER_TOKENS, temperature: 0.0, ..Sampling::default() },
    };
    let answering = tokio::task::spawn_blocking(move || evaluate(&question));
    let report = tokio::select! {
        report = answering => report
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?
            .map_err(|error| offline_failure(&error))?,
        () = interrupted() => return Err(Failure::new(ErrorCode::Interrupted, "interrupted")),
    };
    let (mut base, mut common) = (Right::default(), Right::default());
    for SampleAnswers { question, reference, base: before, adapted } in &report.samples {
        base.add(question, reference, before);
        common.add(question, reference, adapted.first().map_or("", String::as_str));
    }
    let asked = report.samples.len();
    let samples = report.samples.into_iter().take(SHOWN).collect();
    Ok(Answers { asked, base, common, samples })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_code_and_name_must_be_there() {
        let question = "Write the note of Fairview. Patient: Bosto Ras, Age: 53";
        let expected = "Note: Bosto Ras, age 53. Rest for 9 days (B12). Fairview.";
        let mut right = Right::default();
        right.add(question, expected, expected);
        assert_eq!(right, Right { particulars: 1, letter: 1 });
        right.add(question, expected, "Bosto Ras (53): B12, 9 days. Fairview!");
        assert_eq!(right, Right { particulars: 2, letter: 1 });
        for wrong in ["Bosto Ros (53): B12, 9. Fairview", "Bosto Ras (53): B1, 9. Fairview", ""] {
            right.add(question, expected, wrong);
        }
        assert_eq!(right, Right { particulars: 2, letter: 1 });
    }
}
