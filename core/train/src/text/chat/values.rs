//! What a template sees of a conversation.

use minijinja::value::Value;

use crate::data::{Json, Turn};

/// A turn as transformers hands it to a template, with the reasoning under every name that
/// templates use for it.
pub(super) fn message(turn: &Turn) -> Value {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let content = turn.parts.as_ref().map(value).or_else(|| text(&turn.text));
    let fields = [
        ("thinking", text(&turn.reasoning)),
        ("role", Some(Value::from(turn.role.name()))),
        ("content", content),
        ("reasoning_content", text(&turn.reasoning)),
        ("name", text(&turn.name)),
        ("tool_calls", turn.tool_calls.as_ref().map(value)),
        ("tool_call_id", text(&turn.tool_call_id)),
    ];
    // Like transformers, leaves out fields without a value.
    Value::from_pairs(fields.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// What a template sees of a value of the data.
pub(in crate::text) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Integer(number) => match i64::try_from(*number) {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(*number),
        },
        Json::Float(number) => Value::from(*number),
        Json::Text(text) => Value::from(text.as_str()),
        Json::List(items) => items.iter().map(value).collect(),
        Json::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(key, item)| (key.as_str(), value(item))))
        }
    }
}
