//! The elements of a data set: instructions, conversations, and plain text with its continuation.

mod digest;

use std::borrow::Cow;
use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::form::{FieldMap, understand};
use super::json::Json;
use crate::TrainError;
use crate::text::floor_char_boundary;
use digest::ContentDigest;

/// The role of a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The equivalent of `system` in newer OpenAI models.
    Developer,
    /// The person who asks.
    User,
    /// The model; only its turns carry a loss.
    Assistant,
    /// The result of a tool that the model called.
    Tool,
}

impl Role {
    /// The role's name in chat messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The role of the speaker.
    pub role: Role,
    /// The text; `None` if the turn has no content at all, which templates distinguish from an
    /// empty one.
    pub text: Option<String>,
    /// The content as a list of parts, if it was given as one; `text` then joins their texts.
    pub parts: Option<Json>,
    /// The model's reasoning before the answer.
    pub reasoning: Option<String>,
    /// Tool calls of the model, in OpenAI's form.
    pub tool_calls: Option<Json>,
    /// The id of the call that a tool's turn answers.
    pub tool_call_id: Option<String>,
    /// The name of the speaker or of the tool.
    pub name: Option<String>,
    /// Whether an answer carries a loss; without meaning for other roles.
    pub trained: bool,
}

impl Turn {
    /// A turn that has only text.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: Some(text.into()),
            parts: None,
            reasoning: None,
            tool_calls: None,
            tool_call_id: None,
            name: None,
            trained: true,
        }
    }

    /// The text; empty if there is no content.
    pub fn said(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Whether this is an answer that carries a loss.
    pub fn is_learned(&self) -> bool {
        self.role == Role::Assistant && self.trained
    }

    /// Whether there is no text, reasoning or tool call.
    pub(super) fn is_empty(&self) -> bool {
        self.said().trim().is_empty() && self.reasoning.is_none() && self.tool_calls.is_none()
    }

    fn bytes(&self) -> usize {
        let texts = [&self.text, &self.reasoning, &self.tool_call_id, &self.name];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let values = [&self.parts, &self.tool_calls];
        texts + values.into_iter().flatten().map(Json::bytes).sum::<usize>()
    }
}

/// As a chat message, with only the fields that the turn has.
impl Serialize for Turn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_map(None)?;
        message.serialize_entry("role", self.role.name())?;
        match (&self.parts, &self.text) {
            (Some(parts), _) => message.serialize_entry("content", parts)?,
            (None, Some(text)) => message.serialize_entry("content", text)?,
            (None, None) => {}
        }
        for (key, value) in [("reasoning_content", &self.reasoning), ("name", &self.name)] {
            if let Some(value) = value {
                message.serialize_entry(key, value)?;
            }
        }
        if let Some(calls) = &self.tool_calls {
            message.serialize_entry("tool_calls", calls)?;
        }
        if let Some(id) = &self.tool_call_id {
            message.serialize_entry("tool_call_id", id)?;
        }
        message.end()
    }
}

/// A conversation with its tools and template variables.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// The turns, in order.
    pub turns: Vec<Turn>,
    /// Tools that the model may call: a list in OpenAI's form.
    pub tools: Option<Json>,
    /// Further variables for the template, by name: TRL's `chat_template_kwargs`.
    pub values: Vec<(String, Json)>,
}

impl From<Vec<Turn>> for Chat {
    fn from(turns: Vec<Turn>) -> Self {
        Self { turns, tools: None, values: Vec::new() }
    }
}

/// One example of a data set.
#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    /// A task and its answer, in the form of Alpaca.
    Instruction {
        /// System text for the whole conversation.
        system: Option<String>,
        /// Earlier questions and answers.
        history: Vec<(String, String)>,
        /// The task.
        instruction: String,
        /// The input of the task; may be empty.
        input: String,
        /// The answer.
        output: String,
    },
    /// A conversation.
    Chat(Chat),
    /// Plain text and its continuation, without a template.
    Completion {
        /// The text.
        prompt: String,
        /// The continuation.
        completion: String,
    },
}

impl Example {
    /// A task with its answer and no other field.
    pub fn instruction(
        instruction: impl Into<String>,
        input: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        Self::Instruction {
            system: None,
            history: Vec::new(),
            instruction: instruction.into(),
            input: input.into(),
            output: output.into(),
        }
    }

    /// The example as a conversation.
    pub fn turns(&self) -> Cow<'_, [Turn]> {
        let (system, history, question, answer) = match self {
            Self::Chat(chat) => return Cow::Borrowed(&chat.turns),
            Self::Completion { prompt, completion } => (&None, &[][..], prompt.clone(), completion),
            Self::Instruction { system, history, instruction, input, output } => {
                let question = match input.is_empty() {
                    true => instruction.clone(),
                    false => format!("{instruction}\n\n{input}"),
                };
                (system, &history[..], question, output)
            }
        };
        let system = system.iter().map(|text| Turn::new(Role::System, text.as_str()));
        let before = history.iter().flat_map(|(question, answer)| {
            [(Role::User, question), (Role::Assistant, answer)]
                .map(|(role, text)| Turn::new(role, text.as_str()))
        });
        let last = [Turn::new(Role::User, question), Turn::new(Role::Assistant, answer.as_str())];
        Cow::Owned(system.chain(before).chain(last).collect())
    }

    /// The last answer, with which a generated one is compared.
    pub fn answer(&self) -> &str {
        match self {
            Self::Instruction { output, .. } => output,
            Self::Completion { completion, .. } => completion,
            Self::Chat(chat) => {
                let answer = chat.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
                answer.map_or("", Turn::said)
            }
        }
    }

    /// BLAKE3 of the content, independent of file, line and formatting.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = ContentDigest::new();
        match self {
            Self::Chat(chat) => {
                chat.turns.iter().for_each(|turn| digest.turn(turn));
                digest.json("tools", chat.tools.as_ref());
                chat.values.iter().for_each(|(name, value)| digest.json(name, Some(value)));
            }
            Self::Completion { prompt, completion } => {
                digest.said(Role::User, &[prompt]);
                digest.said(Role::Assistant, &[completion]);
            }
            // Hashed in parts: an example may be long and is not copied for this.
            Self::Instruction { system, history, instruction, input, output } => {
                system.iter().for_each(|text| digest.said(Role::System, &[text]));
                for (question, answer) in history {
                    digest.said(Role::User, &[question]);
                    digest.said(Role::Assistant, &[answer]);
                }
                match input.is_empty() {
                    true => digest.said(Role::User, &[instruction]),
                    false => digest.said(Role::User, &[instruction, "\n\n", input]),
                }
                digest.said(Role::Assistant, &[output]);
            }
        }
        *digest.0.finalize().as_bytes()
    }

    /// Size in bytes of all its text.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Completion { prompt, completion } => prompt.len() + completion.len(),
            Self::Instruction { system, history, instruction, input, output } => {
                let before: usize = history.iter().map(|(q, a)| q.len() + a.len()).sum();
                let system = system.as_ref().map_or(0, String::len);
                system + before + instruction.len() + input.len() + output.len()
            }
            Self::Chat(chat) => {
                let values = chat.tools.iter().chain(chat.values.iter().map(|(_, value)| value));
                let values: usize = values.map(Json::bytes).sum();
                values + chat.turns.iter().map(Turn::bytes).sum::<usize>()
            }
        }
    }

    /// The example truncated to this many bytes of text; the rest is dropped. It then serves for
    /// display only.
    pub(super) fn shortened(mut self, bytes: usize) -> Self {
        let mut left = bytes;
        let mut cut = |text: &mut String| {
            text.truncate(floor_char_boundary(text, left));
            text.shrink_to_fit();
            left = left.saturating_sub(text.len());
            left > 0
        };
        match &mut self {
            Self::Completion { prompt, completion } => {
                cut(prompt);
                cut(completion);
            }
            Self::Instruction { system, history, instruction, input, output } => {
                let before = history.iter_mut().flat_map(|(question, answer)| [question, answer]);
                for text in system.iter_mut().chain(before).chain([instruction, input, output]) {
                    cut(text);
                }
            }
            Self::Chat(chat) => {
                (chat.tools, chat.values) = (None, Vec::new());
                let mut kept = 0;
                while let Some(turn) = chat.turns.get_mut(kept) {
                    kept += 1;
                    (turn.parts, turn.tool_calls) = (None, None);
                    let texts = [&mut turn.reasoning, &mut turn.text];
                    if !texts.into_iter().flatten().all(&mut cut) {
                        break;
                    }
                }
                chat.turns.truncate(kept);
                chat.turns.shrink_to_fit();
            }
        }
        self
    }

    /// Reads one record of JSON; `path` and `line` are only used in errors.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(text: &str, path: &Path, line: usize) -> crate::Result<Self> {
        let understood = understand(text, &FieldMap::default());
        understood.map(|it| it.example).map_err(|reason| TrainError::data(path, line, reason))
    }
}

#[cfg(test)]
mod tests;
