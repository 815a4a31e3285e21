//! Forms that are lists of turns: chat messages, ShareGPT, UltraChat.

mod calls;
mod content;
mod pairs;
mod repeated;

use super::super::example::{Chat, Example, Role, Turn};
use super::super::json::Json;
use super::Form;
use super::fields::{Fields, shortened, wrong_kind};
use super::names::is_harmless;
pub(super) use calls::calls;
use calls::function_call;
use content::content;
use pairs::{are_pairs, pairs};
use repeated::repeated;

/// Reads a record that has a list of turns under this name.
pub(super) fn read(fields: &mut Fields<'_>, name: &str) -> Result<(Example, Form), String> {
    let all = ["messages", "conversations", "conversation", "data", "completion"];
    let others: Vec<&str> = all.into_iter().filter(|other| *other != name).collect();
    fields.refuse(&others, &format!("\"{name}\""))?;
    let items = match fields.take(name) {
        Some(Json::List(items)) => items,
        Some(other) => return Err(wrong_kind(&format!("\"{name}\""), "a list of turns", &other)),
        None => return Err(format!("no field \"{name}\"")),
    };
    if items.is_empty() {
        return Err(format!("\"{name}\" is empty"));
    }
    let are_texts = name != "messages" && items.iter().all(|it| matches!(it, Json::Text(_)));
    let (mut turns, form) = match name {
        _ if are_texts || name == "data" => (by_turns(name, items)?, Form::UltraChat),
        _ if are_pairs(&items) => (pairs(fields, name, items)?, Form::Messages),
        _ => {
            let is_sharegpt = matches!(items.first(), Some(turn) if turn.get("from").is_some());
            let form = if is_sharegpt { Form::ShareGpt } else { Form::Messages };
            (list(fields, name, items)?, form)
        }
    };
    repeated(fields, &turns)?;
    if let Some(system) = fields.system()? {
        if turns.iter().any(|turn| matches!(turn.role, Role::System | Role::Developer)) {
            return Err(format!("\"system\" stands beside \"{name}\" and in it: which is meant?"));
        }
        turns.insert(0, Turn::new(Role::System, system));
    }
    check_answers(&turns)?;
    let (tools, values) = (tools(fields, form == Form::ShareGpt)?, values(fields)?);
    Ok((Example::Chat(Chat { turns, tools, values }), form))
}

/// Questions and answers by turns, as in UltraChat and LIMA.
fn by_turns(name: &str, items: Vec<Json>) -> Result<Vec<Turn>, String> {
    let turn = |(index, item): (usize, Json)| match item {
        Json::Text(text) if index % 2 == 0 => Ok(Turn::new(Role::User, text)),
        Json::Text(text) => Ok(Turn::new(Role::Assistant, text)),
        other => Err(wrong_kind(&format!("turn {} of \"{name}\"", index + 1), "text", &other)),
    };
    items.into_iter().enumerate().map(turn).collect()
}

/// Reads turns. Their unknown fields are recorded with the prefix `name`.
pub(super) fn list(
    fields: &mut Fields<'_>,
    name: &str,
    items: Vec<Json>,
) -> Result<Vec<Turn>, String> {
    let mut turns = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let place = format!("turn {} of \"{name}\"", index + 1);
        let Json::Object(entries) = item else {
            return Err(wrong_kind(&place, "an object", &item));
        };
        let turn = turn(fields, name, entries).map_err(|reason| format!("{place}: {reason}"))?;
        turns.push(turn);
    }
    Ok(turns)
}

/// The keys of one turn, and what they mean.
#[derive(Default)]
struct Read {
    speaker: Option<String>,
    content: Option<Json>,
    reasoning: Option<String>,
    tool_calls: Option<Json>,
    tool_call_id: Option<String>,
    name: Option<String>,
    trained: Option<bool>,
}

fn turn(fields: &mut Fields<'_>, list: &str, entries: Vec<(String, Json)>) -> Result<Turn, String> {
    let mut read = Read::default();
    for (key, value) in entries.into_iter().filter(|(_, value)| *value != Json::Null) {
        let known = match () {
            () if fields.map.column_of("role") == Some(&key) => "role",
            () if fields.map.column_of("content") == Some(&key) => "content",
            () => &key,
        };
        read.key(known, value, |unknown| {
            fields.note_unknown(format!("{list}[].{}", shortened(unknown)));
        })?;
    }
    let speaker = read.speaker.take().ok_or("no \"role\" (or \"from\")")?;
    let named = fields.map.role_of(&speaker);
    let (role, is_call) = match named.unwrap_or(&speaker) {
        "system" => (Role::System, false),
        "developer" => (Role::Developer, false),
        "user" | "human" => (Role::User, false),
        "assistant" | "gpt" | "chatgpt" | "model" | "bot" => (Role::Assistant, false),
        "function_call" => (Role::Assistant, true),
        "tool" | "observation" | "function" | "function_response" => (Role::Tool, false),
        _ => {
            let known =
                "system, developer, user, human, assistant, gpt, function_call, tool, observation";
            let speaker = shortened(&speaker);
            return Err(format!(
                "role {speaker:?} is not one of {known}; name others in `data.map`"
            ));
        }
    };
    read.finish(role, is_call)
}

impl Read {
    fn key(&mut self, key: &str, value: Json, mut unknown: impl FnMut(&str)) -> Result<(), String> {
        let text = |value: Json| match value {
            Json::Text(text) => Ok(text),
            other => Err(wrong_kind(&format!("\"{key}\""), "text", &other)),
        };
        match key {
            "role" | "from" => put(&mut self.speaker, text(value)?, "role"),
            "content" | "value" => put(&mut self.content, value, "content"),
            "reasoning_content" | "thinking" | "reasoning" => {
                put(&mut self.reasoning, text(value)?, "reasoning_content")
            }
            "tool_calls" => match value {
                Json::List(calls) if calls.is_empty() => Ok(()),
                Json::List(calls) => put(&mut self.tool_calls, Json::List(calls), key),
                other => Err(wrong_kind("\"tool_calls\"", "a list", &other)),
            },
            "function_call" => put(&mut self.tool_calls, function_call(value)?, "tool_calls"),
            "tool_call_id" => put(&mut self.tool_call_id, text(value)?, key),
            "name" => put(&mut self.name, text(value)?, key),
            "weight" | "train" | "trained" | "training" | "loss" => {
                let trained = match value {
                    Json::Bool(trained) if key != "weight" => trained,
                    Json::Integer(0) if key == "weight" => false,
                    Json::Integer(1) if key == "weight" => true,
                    Json::Float(0.0) if key == "weight" => false,
                    Json::Float(1.0) if key == "weight" => true,
                    _ if key == "weight" => return Err("\"weight\" must be 0 or 1".to_owned()),
                    other => {
                        return Err(wrong_kind(&format!("\"{key}\""), "true or false", &other));
                    }
                };
                put(&mut self.trained, trained, key)
            }
            "annotations" if value == Json::List(Vec::new()) => Ok(()),
            "images" | "videos" | "audios" if value == Json::List(Vec::new()) => Ok(()),
            "images" | "videos" | "audios" | "audio" | "image" => {
                Err("images, audio and video are not read".to_owned())
            }
            "refusal" => {
                Err("\"refusal\" is not read: write what is said as \"content\"".to_owned())
            }
            "train_detail" | "training_detail" | "loss_mask" | "loss_scale" | "mask" | "label"
            | "labels" => Err(format!(
                "\"{key}\" is not read: an answer is learned as a whole, or not at all (`weight` 0)"
            )),
            other if is_harmless(other) => Ok(()),
            other => {
                unknown(other);
                Ok(())
            }
        }
    }

    fn finish(self, role: Role, is_call: bool) -> Result<Turn, String> {
        let mut turn = Turn::new(role, String::new());
        turn.text = None;
        (turn.reasoning, turn.tool_call_id, turn.name) =
            (self.reasoning, self.tool_call_id, self.name);
        turn.tool_calls = self.tool_calls;
        match self.content {
            Some(value) if is_call => {
                let calls = calls(value, "the value of a \"function_call\"")?;
                put(&mut turn.tool_calls, calls, "tool_calls")?;
            }
            Some(value) => (turn.text, turn.parts) = content(value)?,
            None if turn.tool_calls.is_some() || turn.reasoning.is_some() => {}
            None => return Err("no \"content\" (or \"value\"), or it is null".to_owned()),
        }
        if role != Role::Assistant {
            if turn.tool_calls.is_some() || turn.reasoning.is_some() {
                return Err("only the assistant calls tools and thinks".to_owned());
            }
            if self.trained == Some(true) {
                return Err("it is marked to be learned, and only answers are".to_owned());
            }
        }
        turn.trained = self.trained.unwrap_or(true);
        Ok(turn)
    }
}

fn put<T>(place: &mut Option<T>, value: T, key: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("\"{key}\" stands there twice, under two names")),
    }
}

/// Refuses a conversation in which nothing would be learned.
pub(super) fn check_answers(turns: &[Turn]) -> Result<(), String> {
    let mut answers = turns.iter().filter(|turn| turn.role == Role::Assistant).peekable();
    if answers.peek().is_none() {
        return Err("no turn of the assistant: there is no answer".to_owned());
    }
    let mut learned = answers.filter(|turn| turn.trained).peekable();
    if learned.peek().is_none() {
        return Err("no answer is learned: all have weight 0 or `train` false".to_owned());
    }
    match learned.all(Turn::is_empty) {
        true => Err("the answer is empty".to_owned()),
        false => Ok(()),
    }
}

/// Tools that the model may call.
pub(super) fn tools(fields: &mut Fields<'_>, is_sharegpt: bool) -> Result<Option<Json>, String> {
    if fields.has("functions") && fields.has("tools") {
        return Err("both \"functions\" and \"tools\" are there: which is meant?".to_owned());
    }
    let is_old = fields.has("functions");
    let Some(tools) = fields.take("functions").or_else(|| fields.take("tools")) else {
        return Ok(None);
    };
    calls::tools(tools, is_old || is_sharegpt)
}

/// Further variables for the template.
pub(super) fn values(fields: &mut Fields<'_>) -> Result<Vec<(String, Json)>, String> {
    match fields.take("chat_template_kwargs") {
        None => Ok(Vec::new()),
        Some(Json::Object(values)) => Ok(values),
        Some(other) => Err(wrong_kind("\"chat_template_kwargs\"", "an object", &other)),
    }
}
