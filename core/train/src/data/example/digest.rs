//! The digest of an example's content.

use super::{Role, Turn};
use crate::data::json::Json;

/// Hashes content, part by part.
pub(super) struct ContentDigest(pub(super) blake3::Hasher);

impl ContentDigest {
    pub(super) fn new() -> Self {
        Self(blake3::Hasher::new_derive_key("fedshield-train v1 example"))
    }

    pub(super) fn said(&mut self, role: Role, parts: &[&str]) {
        self.texts(role.name(), parts);
    }

    fn texts(&mut self, name: &str, parts: &[&str]) {
        self.0.update(name.as_bytes());
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        self.0.update(&(bytes as u64).to_le_bytes());
        for part in parts {
            self.0.update(part.as_bytes());
        }
    }

    /// A turn that has only text is hashed as that text.
    pub(super) fn turn(&mut self, turn: &Turn) {
        self.said(turn.role, &[turn.said()]);
        let texts = [
            ("reasoning", &turn.reasoning),
            ("tool_call_id", &turn.tool_call_id),
            ("name", &turn.name),
        ];
        for (name, text) in texts {
            text.iter().for_each(|text| self.texts(name, &[text]));
        }
        self.json("parts", turn.parts.as_ref());
        self.json("tool_calls", turn.tool_calls.as_ref());
        if !turn.trained {
            self.texts("not trained", &[]);
        }
    }

    pub(super) fn json(&mut self, name: &str, value: Option<&Json>) {
        // Serialising a JSON value to a string does not fail.
        if let Some(text) = value.and_then(|value| serde_json::to_string(value).ok()) {
            self.texts(name, &[&text]);
        }
    }
}
