//! What joining is worth to this member: what is asked, and what it may cost unasked.

use tokio_util::sync::CancellationToken;

use crate::control::api::{
    ApiError, ErrorCode, EvaluateRequest, Evaluation, MOST_SAMPLES, RoundOutcome,
};
use crate::jobs::{Pipeline, Question, Stage, rounds_of_training_alone};
use crate::store::Ledger;

/// Longest time, in seconds, that training alone may take if nobody asked for it.
const LONGEST_UNASKED_S: f64 = 3600.0;
/// Sample answers if the request says nothing.
const SAMPLES: u16 = 3;

/// Refuses a request that cannot be answered.
///
/// # Errors
/// Names the field.
pub(crate) fn check(request: &EvaluateRequest) -> Result<(), ApiError> {
    if let Some(path) = request.data.iter().find(|path| !path.is_absolute()) {
        let message = format!("data: `{}` is not an absolute path", path.display());
        return Err(ApiError::new(ErrorCode::InvalidRequest, message)
            .with_hint("the daemon has a folder of its own: give the whole path"));
    }
    if request.samples.is_some_and(|samples| samples > MOST_SAMPLES) {
        let message = format!("samples: at most {MOST_SAMPLES}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message).with_hint("ask for fewer"));
    }
    Ok(())
}

/// Makes what this member can make at home and compares it.
///
/// # Errors
/// Those of [`Pipeline::evaluate`].
pub(crate) fn compare(
    pipeline: &Pipeline,
    ledger: &Ledger,
    request: &EvaluateRequest,
    cancel: &CancellationToken,
) -> Result<Evaluation, ApiError> {
    let takes = alone_takes_s(ledger)?;
    let question = Question {
        with_alone: request.alone.unwrap_or(takes <= LONGEST_UNASKED_S),
        files: request.data.clone(),
        answers: true,
        samples: usize::from(request.samples.unwrap_or(SAMPLES)),
    };
    let made = pipeline.evaluate(&question, cancel)?;
    let left_out = request.alone.is_none() && !question.with_alone;
    Ok(Evaluation { alone_takes_s: left_out.then_some(takes), ..made })
}

/// The same without being asked: nobody reads answers.
///
/// # Errors
/// Those of [`Pipeline::evaluate`].
pub(crate) fn make_at_home(
    pipeline: &Pipeline,
    ledger: &Ledger,
    cancel: &CancellationToken,
) -> Result<(), ApiError> {
    let with_alone = alone_takes_s(ledger)? <= LONGEST_UNASKED_S;
    let question = Question { with_alone, files: Vec::new(), answers: false, samples: 0 };
    pipeline.evaluate(&question, cancel)?;
    Ok(())
}

/// About how long training alone takes here, by the seconds that the rounds trained; 0 if unknown.
fn alone_takes_s(ledger: &Ledger) -> Result<f64, ApiError> {
    let reports = ledger.reports()?;
    let trained = reports.iter().filter_map(|report| report.seconds.get(Stage::Train.word()));
    let (sum, rounds) = trained.fold((0.0, 0u64), |(sum, rounds), s| (sum + s, rounds + 1));
    let applied = reports.iter().filter(|it| it.outcome == RoundOutcome::Applied).count();
    Ok(sum / rounds.max(1) as f64 * rounds_of_training_alone(applied as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_cannot_be_answered_are_refused_by_field() {
        let relative = EvaluateRequest { data: vec!["a.jsonl".into()], ..Default::default() };
        let error = check(&relative).unwrap_err();
        assert!(error.message.contains("data: `a.jsonl`"), "{}", error.message);
        let many = EvaluateRequest { samples: Some(MOST_SAMPLES + 1), ..Default::default() };
        assert!(check(&many).unwrap_err().message.contains("samples"));
        let fine = EvaluateRequest {
            data: vec!["/a.jsonl".into()],
            samples: Some(0),
            ..Default::default()
        };
        assert!(check(&fine).is_ok() && check(&EvaluateRequest::default()).is_ok());
    }
}
