//! The meaning of a record: every field of it is understood, known to be harmless, reported, or a
//! reason to refuse the record.
//!
//! Forms are recognised by their fields, never by the file. Two forms in one record are refused
//! unless one of them only repeats the other, as in some published data sets.

mod fields;
mod map;
mod names;
mod single;
mod turns;

use serde::Serialize;

use super::example::Example;
use super::json::Json;
use fields::Fields;
pub(super) use fields::shortened;
pub use map::FieldMap;

/// The form of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `messages` of `role` and `content`.
    Messages,
    /// `conversations` of `from` and `value`.
    ShareGpt,
    /// `data`: alternating questions and answers, as UltraChat was first published.
    UltraChat,
    /// `instruction` and `output`, perhaps with `input`, `system` and `history`.
    Alpaca,
    /// `instruction` and `response`, perhaps with `context`.
    Dolly,
    /// `question`, `query` or `problem`, and `answer`, `response` or `solution`, perhaps with
    /// `system_prompt`.
    Question,
    /// `prompt` and `completion`: texts, or lists of messages.
    PromptCompletion,
    /// `text` alone.
    Text,
}

impl Form {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ShareGpt => "ShareGPT",
            Self::UltraChat => "UltraChat",
            Self::Alpaca => "Alpaca",
            Self::Dolly => "Dolly",
            Self::Question => "question and answer",
            Self::PromptCompletion => "prompt and completion",
            Self::Text => "text",
        }
    }

    /// The fields that make up the form, for errors about other fields.
    fn beside(self) -> &'static str {
        match self {
            Self::Messages | Self::ShareGpt | Self::UltraChat => "a list of turns",
            Self::Alpaca => "\"instruction\" and \"output\"",
            Self::Dolly => "\"instruction\" and \"response\"",
            Self::Question => "a question and its answer",
            Self::PromptCompletion => "\"prompt\" and \"completion\"",
            Self::Text => "\"text\"",
        }
    }
}

/// A record that was understood.
#[derive(Debug)]
pub(super) struct Understood {
    pub(super) example: Example,
    pub(super) form: Form,
    /// Unknown fields, each once; those of a turn are prefixed with the name of their list.
    pub(super) unknown: Vec<String>,
}

/// Reads one record of JSON.
///
/// # Errors
/// Why it cannot be used, without quoting its content.
pub(super) fn understand(text: &str, map: &FieldMap) -> Result<Understood, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| json_reason(&error, text))?;
    let Json::Object(entries) = json else {
        return Err(format!("it is {}, not an object", kind(&json)));
    };
    let mut fields = Fields::new(entries, map);
    fields.refuse_other_tasks()?;
    let (example, form) = read_form(&mut fields)?;
    let unknown = fields.finish(form.beside())?;
    Ok(Understood { example, form, unknown })
}

fn read_form(fields: &mut Fields<'_>) -> Result<(Example, Form), String> {
    let lists = ["messages", "conversations", "conversation", "data"];
    let list = lists.into_iter().find(|name| fields.has(name));
    if let Some(name) = list {
        return turns::read(fields, name);
    }
    if fields.has("instruction") {
        return single::instruction(fields);
    }
    if ["question", "query", "problem"].iter().any(|name| fields.has(name)) {
        return single::question(fields);
    }
    if fields.has("prompt") {
        return match fields.has("completion") {
            false if fields.has("response") || fields.has("answer") => single::question(fields),
            _ => single::prompt(fields),
        };
    }
    if fields.has("text") {
        return single::text(fields);
    }
    Err(fields.no_form())
}

/// The type of a value, in words.
fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Integer(_) | Json::Float(_) => "a number",
        Json::Text(_) => "text",
        Json::List(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Drops serde_json's "at line 1 column 7", whose line number means nothing here. Data must not
/// reach a log: serde_json's syntax errors quote none, and this crate's own errors at most the
/// shortened name of a key.
fn json_reason(error: &serde_json::Error, record: &str) -> String {
    let text = error.to_string();
    let text = &text[..text.rfind(" at line ").unwrap_or(text.len())];
    let advice = match error.classify() {
        serde_json::error::Category::Eof => {
            ": an object ends on the line on which it begins, or the file is one JSON array"
        }
        _ if record.contains('\r') => {
            ": its lines end with carriage returns alone. Write line feeds"
        }
        _ if text.starts_with("trailing characters") => ": a line holds one object",
        _ if !record.starts_with(['{', '[']) => {
            ": each line is one object, `{...}`; tables (CSV) and plain text are not read"
        }
        _ => "",
    };
    format!("not valid JSON: {text} (column {}){advice}", error.column())
}

#[cfg(test)]
mod tests;
