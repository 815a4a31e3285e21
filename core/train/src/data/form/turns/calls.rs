//! Tools and tool calls, in the form that chat templates expect.

use super::super::super::json::Json;
use super::super::fields::wrong_kind;

/// A tool or a call in OpenAI's current form: the function wrapped in an object.
fn function(inside: Json) -> Json {
    let kind = ("type".to_owned(), Json::Text("function".to_owned()));
    Json::Object(vec![kind, ("function".to_owned(), inside)])
}

/// A list of tools. ShareGPT stores it as text; there, and under OpenAI's old name, functions are
/// not wrapped.
pub(super) fn tools(tools: Json, are_bare: bool) -> Result<Option<Json>, String> {
    let tools = match tools {
        Json::Text(text) if text.trim().is_empty() => return Ok(None),
        Json::Text(text) => from_text(&text, "\"tools\"")?,
        other => other,
    };
    let Json::List(list) = tools else {
        return Err(wrong_kind("\"tools\"", "a list", &tools));
    };
    if list.is_empty() {
        return Ok(None);
    }
    if let Some(other) = list.iter().find(|tool| !matches!(tool, Json::Object(_))) {
        return Err(wrong_kind("a tool", "an object", other));
    }
    let wrap = |tool: Json| match are_bare && tool.get("function").is_none() {
        true => function(tool),
        false => tool,
    };
    Ok(Some(Json::List(list.into_iter().map(wrap).collect())))
}

/// OpenAI's old `function_call`.
pub(super) fn function_call(call: Json) -> Result<Json, String> {
    match call.get("name").and_then(Json::as_text) {
        Some(_) => Ok(Json::List(vec![function(call)])),
        None => Err("\"function_call\" must be an object with a \"name\"".to_owned()),
    }
}

/// One call, or a list of calls, as JSON text: a ShareGPT turn `function_call`, or xLAM's answers.
/// `what` names it in errors.
pub(in super::super) fn calls(value: Json, what: &str) -> Result<Json, String> {
    let value = match value {
        Json::Text(text) => from_text(&text, what)?,
        other => other,
    };
    let calls = match value {
        Json::List(calls) => calls,
        call => vec![call],
    };
    let is_call = |call: &Json| call.get("name").and_then(Json::as_text).is_some();
    if calls.is_empty() || !calls.iter().all(is_call) {
        return Err(format!("{what} must be JSON with \"name\" and \"arguments\""));
    }
    Ok(Json::List(calls.into_iter().map(function).collect()))
}

fn from_text(text: &str, what: &str) -> Result<Json, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{what}: the text is not valid JSON (column {})", error.column()))
}
