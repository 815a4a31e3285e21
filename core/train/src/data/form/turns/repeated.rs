//! Fields beside a list of turns, in which published data sets repeat a part of it.

use super::super::super::example::{Role, Turn};
use super::super::super::json::Json;
use super::super::fields::Fields;

/// Fields that repeat the first question.
pub(in super::super) const QUESTIONS: &[&str] =
    &["prompt", "instruction", "question", "query", "problem"];
/// Fields that repeat an answer.
pub(in super::super) const ANSWERS: &[&str] = &["output", "response", "answer", "solution"];

/// Takes out the fields that only repeat the turns.
///
/// # Errors
/// A field that says something else.
pub(super) fn repeated(fields: &mut Fields<'_>, turns: &[Turn]) -> Result<(), String> {
    let said = |role: Role| turns.iter().filter(move |turn| turn.role == role).map(Turn::said);
    let is = |text: &str| {
        let text = text.trim().to_owned();
        move |said: &str| said.trim() == text
    };
    for name in QUESTIONS.iter().chain(ANSWERS).chain(&["text"]) {
        let same = match fields.take(name) {
            None => continue,
            Some(Json::Text(text)) if text.is_empty() => true,
            Some(Json::Text(text)) if QUESTIONS.contains(name) => {
                said(Role::User).next().is_some_and(is(&text))
            }
            Some(Json::Text(text)) if ANSWERS.contains(name) => {
                said(Role::Assistant).any(is(&text))
            }
            Some(Json::Text(text)) => turns.iter().all(|turn| text.contains(turn.said().trim())),
            Some(_) => false,
        };
        if !same {
            return Err(format!(
                "\"{name}\" says something else than the turns beside it: keep one of them, or name the columns \
                 in `data.map`"
            ));
        }
    }
    Ok(())
}
