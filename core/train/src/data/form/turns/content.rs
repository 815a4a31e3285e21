//! The content of a turn: a text, or a list of parts.

use super::super::super::json::Json;
use super::super::fields::{shortened, wrong_kind};

/// The text of a content, and its parts if it is a list.
pub(super) fn content(value: Json) -> Result<(Option<String>, Option<Json>), String> {
    let parts = match value {
        Json::Text(text) => return Ok((Some(text), None)),
        Json::List(parts) => parts,
        other => return Err(wrong_kind("\"content\"", "text or a list of parts", &other)),
    };
    if parts.is_empty() {
        return Err("\"content\" is an empty list".to_owned());
    }
    let mut text = String::new();
    for part in &parts {
        text.push_str(part_text(part)?);
    }
    Ok((Some(text), Some(Json::List(parts))))
}

fn part_text(part: &Json) -> Result<&str, String> {
    let Json::Object(_) = part else {
        return Err(wrong_kind("a part of \"content\"", "an object", part));
    };
    match part.get("type").and_then(Json::as_text) {
        Some("text") => part
            .get("text")
            .and_then(Json::as_text)
            .ok_or_else(|| "a part of type \"text\" has no text".to_owned()),
        Some(
            other @ ("image" | "image_url" | "input_image" | "audio" | "input_audio" | "video"
            | "video_url" | "file"),
        ) => Err(format!("a part of type \"{other}\": images, audio and video are not read")),
        Some(other) => Err(format!("a part of type {:?} is not read", shortened(other))),
        None => Err("a part of \"content\" has no \"type\"".to_owned()),
    }
}
