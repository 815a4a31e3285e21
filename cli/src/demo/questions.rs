//! The fixed questions at the demo's end: what the base model and the common adapter answer.

use std::path::{Path, PathBuf};

use fedshieldd::config::ComputeDevice;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::{
    AnswerScore, EvaluateQuestion, RenderingChoice, SampleAnswers, Sampling, evaluate,
};
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
    /// Answers of the base model that are as expected to the letter.
    pub right_before: usize,
    /// The same with the common adapter.
    pub right_after: usize,
    /// Some of the questions with both answers.
    pub samples: Vec<SampleAnswers>,
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
        short_tokens: ANSWER_TOKENS,
        exact: ASKED,
        samples: SHOWN,
        sampling: Sampling { max_tokens: ANSWER_TOKENS, temperature: 0.0, ..Sampling::default() },
    };
    let answering = tokio::task::spawn_blocking(move || evaluate(&question));
    let report = tokio::select! {
        report = answering => report
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?
            .map_err(|error| offline_failure(&error))?,
        () = interrupted() => return Err(Failure::new(ErrorCode::Interrupted, "interrupted")),
    };
    let right = |score: Option<AnswerScore>| score.map_or(0, |score| score.equal);
    let common = report.adapters.first().and_then(|adapter| adapter.score.exact);
    Ok(Answers {
        asked: common.map_or(0, |score| score.compared),
        right_before: right(report.base.exact),
        right_after: right(common),
        samples: report.samples,
    })
}
