//! Turns that are written as pairs: one object for each question with its answer.

use super::super::super::example::{Role, Turn};
use super::super::super::json::Json;
use super::super::fields::{Fields, shortened, wrong_kind};

/// Names of question and answer: Firefly and Baichuan, XTuner and Capybara, COIG.
pub(in super::super) const PAIRS: &[(&str, &str)] =
    &[("human", "assistant"), ("input", "output"), ("question", "answer")];

fn names(item: &Json) -> Option<(&'static str, &'static str)> {
    PAIRS
        .iter()
        .copied()
        .find(|(question, answer)| item.get(question).is_some() && item.get(answer).is_some())
}

/// Whether these items are pairs. Later ones may lack a half, which is an error then.
pub(super) fn are_pairs(items: &[Json]) -> bool {
    items.first().is_some_and(|item| names(item).is_some() && item.get("role").is_none())
}

/// Reads pairs. Their unknown fields are recorded with the prefix `list`.
pub(super) fn pairs(
    fields: &mut Fields<'_>,
    list: &str,
    items: Vec<Json>,
) -> Result<Vec<Turn>, String> {
    let mut turns = Vec::with_capacity(2 * items.len());
    for (index, item) in items.into_iter().enumerate() {
        let place = format!("item {} of \"{list}\"", index + 1);
        let pair = pair(fields, list, item).map_err(|reason| format!("{place}: {reason}"))?;
        if let Some(system) = pair.system {
            if index > 0 {
                return Err(format!("{place}: \"system\" belongs to the first item"));
            }
            turns.push(Turn::new(Role::System, system));
        }
        let mut answer = Turn::new(Role::Assistant, pair.answer);
        answer.trained = pair.trained;
        turns.extend([Turn::new(Role::User, pair.question), answer]);
    }
    Ok(turns)
}

struct Pair {
    system: Option<String>,
    question: String,
    answer: String,
    trained: bool,
}

fn pair(fields: &mut Fields<'_>, list: &str, item: Json) -> Result<Pair, String> {
    let (asked, answered) = names(&item).ok_or("it is no pair like the first one")?;
    let Json::Object(entries) = item else {
        return Err("it is no object".to_owned());
    };
    let (mut system, mut question, mut answer, mut trained) = (None, None, None, true);
    for (key, value) in entries.into_iter().filter(|(_, value)| *value != Json::Null) {
        let place = match key.as_str() {
            "system" => &mut system,
            key if key == asked => &mut question,
            key if key == answered => &mut answer,
            "output_with_loss" => {
                let Json::Bool(flag) = value else {
                    return Err(wrong_kind("\"output_with_loss\"", "true or false", &value));
                };
                trained = flag;
                continue;
            }
            other => {
                fields.note_unknown(format!("{list}[].{}", shortened(other)));
                continue;
            }
        };
        match value {
            Json::Text(text) => *place = Some(text),
            other => return Err(wrong_kind(&format!("\"{key}\""), "text", &other)),
        }
    }
    let missing = |name: &str| format!("\"{name}\" is null");
    let question = question.ok_or_else(|| missing(asked))?;
    if question.trim().is_empty() {
        return Err(format!("\"{asked}\" is empty; write plain text as `text`"));
    }
    let answer = answer.ok_or_else(|| missing(answered))?;
    let system = system.filter(|text: &String| !text.is_empty());
    Ok(Pair { system, question, answer, trained })
}
