//! One line of a data set: Alpaca, prompt and completion, chat messages or ShareGPT.

use std::path::Path;

use serde::Deserialize;

use crate::text::floor_char_boundary;
use crate::{Result, TrainError};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The model; only its turns carry a loss.
    Assistant,
}

impl Role {
    /// The name in chat messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "system" => Some(Self::System),
            "user" | "human" => Some(Self::User),
            "assistant" | "gpt" => Some(Self::Assistant),
            _ => None,
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// One example of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// Alpaca: `{"instruction", "input", "output"}`.
    Instruction {
        /// The task.
        instruction: String,
        /// What it is applied to; may be empty.
        input: String,
        /// The answer.
        output: String,
    },
    /// Chat messages (`{"messages": [{"role", "content"}]}`), ShareGPT
    /// (`{"conversations": [{"from", "value"}]}`), or one question and answer (`{"prompt", "completion"}`).
    Chat {
        /// The turns, in order.
        turns: Vec<Turn>,
    },
}

#[derive(Deserialize)]
struct RawLine {
    instruction: Option<String>,
    input: Option<String>,
    output: Option<String>,
    prompt: Option<String>,
    completion: Option<String>,
    messages: Option<Vec<RawTurn>>,
    conversations: Option<Vec<RawTurn>>,
}

#[derive(Deserialize)]
struct RawTurn {
    #[serde(alias = "from")]
    role: String,
    #[serde(alias = "value")]
    content: String,
}

impl Example {
    /// The example as a conversation.
    pub fn turns(&self) -> Vec<Turn> {
        match self {
            Self::Chat { turns } => turns.clone(),
            Self::Instruction { instruction, input, output } => {
                let question = match input.is_empty() {
                    true => instruction.clone(),
                    false => format!("{instruction}\n\n{input}"),
                };
                vec![
                    Turn { role: Role::User, text: question },
                    Turn { role: Role::Assistant, text: output.clone() },
                ]
            }
        }
    }

    /// The last answer: what a generated one is compared with.
    pub fn answer(&self) -> &str {
        match self {
            Self::Instruction { output, .. } => output,
            Self::Chat { turns } => {
                let answer = turns.iter().rev().find(|turn| turn.role == Role::Assistant);
                answer.map_or("", |turn| turn.text.as_str())
            }
        }
    }

    /// BLAKE3 of the content, independent of file, line and format details.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 example");
        // In parts: an example may be long, and is not copied for this.
        let mut turn = |role: Role, parts: &[&str]| {
            hasher.update(role.name().as_bytes());
            let bytes: usize = parts.iter().map(|part| part.len()).sum();
            hasher.update(&(bytes as u64).to_le_bytes());
            for part in parts {
                hasher.update(part.as_bytes());
            }
        };
        match self {
            Self::Chat { turns } => {
                for Turn { role, text } in turns {
                    turn(*role, &[text]);
                }
            }
            Self::Instruction { instruction, input, output } => {
                match input.is_empty() {
                    true => turn(Role::User, &[instruction]),
                    false => turn(Role::User, &[instruction, "\n\n", input]),
                }
                turn(Role::Assistant, &[output]);
            }
        }
        *hasher.finalize().as_bytes()
    }

    /// Bytes of all its text.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Instruction { instruction, input, output } => {
                instruction.len() + input.len() + output.len()
            }
            Self::Chat { turns } => turns.iter().map(|turn| turn.text.len()).sum(),
        }
    }

    /// The example up to so many bytes of text; what follows is forgotten.
    pub(super) fn shortened(mut self, bytes: usize) -> Self {
        let mut left = bytes;
        let mut cut = |text: &mut String| {
            text.truncate(floor_char_boundary(text, left));
            text.shrink_to_fit();
            left = left.saturating_sub(text.len());
            left > 0
        };
        match &mut self {
            Self::Instruction { instruction, input, output } => {
                for text in [instruction, input, output] {
                    cut(text);
                }
            }
            Self::Chat { turns } => {
                let mut kept = 0;
                while let Some(turn) = turns.get_mut(kept) {
                    kept += 1;
                    if !cut(&mut turn.text) {
                        break;
                    }
                }
                turns.truncate(kept);
                turns.shrink_to_fit();
            }
        }
        self
    }

    /// Reads one line of JSON; `path` and `line` only appear in errors.
    pub fn parse(text: &str, path: &Path, line: usize) -> Result<Self> {
        let bad = |reason: String| TrainError::data(path, line, reason);
        let raw: RawLine = serde_json::from_str(text).map_err(|e| bad(json_reason(&e)))?;
        let example = if let Some(instruction) = raw.instruction {
            let output = raw.output.ok_or_else(|| bad("no field \"output\"".into()))?;
            Self::Instruction { instruction, input: raw.input.unwrap_or_default(), output }
        } else if let Some(prompt) = raw.prompt {
            let completion = raw.completion.ok_or_else(|| bad("no field \"completion\"".into()))?;
            let turns = [(Role::User, prompt), (Role::Assistant, completion)];
            Self::Chat { turns: turns.map(|(role, text)| Turn { role, text }).into() }
        } else if let Some(turns) = raw.messages.or(raw.conversations) {
            let mut parsed = Vec::with_capacity(turns.len());
            for turn in turns {
                let role = Role::parse(&turn.role).ok_or_else(|| {
                    let role: String = turn.role.chars().take(SHOWN_ROLE_CHARS).collect();
                    bad(format!("role {role:?} is not one of system, user, assistant"))
                })?;
                parsed.push(Turn { role, text: turn.content });
            }
            Self::Chat { turns: parsed }
        } else {
            let names = "\"instruction\", \"prompt\", \"messages\" or \"conversations\"";
            return Err(bad(format!("no field {names}")));
        };
        if example.answer().trim().is_empty() {
            return Err(bad("the answer is empty".into()));
        }
        Ok(example)
    }
}

/// Of a role that is unknown, this much is shown.
const SHOWN_ROLE_CHARS: usize = 24;

/// serde_json says "at line 1 column 7"; its line is ours only by accident. What it quotes is somebody's data, which
/// belongs into no log: only its kind is said.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = &text[..text.rfind(" at line ").unwrap_or(text.len())];
    let quotes_value = text.starts_with("invalid type: ") || text.starts_with("invalid value: ");
    let text = match (text.find(['"', '`']), text.rfind(", expected ")) {
        (Some(quoted), Some(expected)) if quotes_value && quoted < expected => {
            format!("{}{}", text[..quoted].trim_end(), &text[expected..])
        }
        _ => text.to_owned(),
    };
    // The name of the type is ours, and tells nobody anything.
    let text = text.replace("struct RawLine", "an object").replace("struct RawTurn", "an object");
    format!("not valid JSON of a known form: {text} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_line_is_said_without_repeating_it() {
        for (line, expected) in [
            (r#""Mr Smith has measles""#, "invalid type: string, expected an object"),
            (r#"{"instruction": 4711}"#, "invalid type: integer, expected a string"),
            (r#"{"instruction": "a", "input": {"Smith": 1}}"#, "invalid type: map"),
            (r#"{"messages": "Mr \"Smith\", expected `x`"}"#, "invalid type: string, expected"),
            (r#"{"messages": ["Smith"]}"#, "invalid type: string, expected an object"),
            (r#"{"messages": [{"role": "Smith, John, born 1950-01-01", "content": "x"}]}"#, "role"),
        ] {
            let error = Example::parse(line, Path::new("a"), 1).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            for secret in ["measles", "4711", "01-01"] {
                assert!(!error.contains(secret), "{error}");
            }
        }
    }

    #[test]
    fn the_digest_of_parts_is_that_of_the_whole() {
        let of = |text| Example::parse(text, Path::new("a"), 1).unwrap().digest();
        let parts = of(r#"{"instruction": "a", "input": "b", "output": "c"}"#);
        assert_eq!(parts, of(r#"{"prompt": "a\n\nb", "completion": "c"}"#));
        assert_ne!(parts, of(r#"{"prompt": "a\n\n", "completion": "bc"}"#));
    }

    #[test]
    fn a_shortened_example_keeps_its_beginning() {
        let of = |text| Example::parse(text, Path::new("a"), 1).unwrap();
        let example = of(r#"{"instruction": "aé", "input": "b", "output": "cd"}"#);
        assert_eq!(example.clone().shortened(6), example);
        let cut = Example::Instruction {
            instruction: "a".to_owned(),
            input: "b".to_owned(),
            output: String::new(),
        };
        assert_eq!(example.shortened(2), cut);
        let chat = of(r#"{"messages": [{"role": "user", "content": "ab"},
            {"role": "assistant", "content": "cd"}, {"role": "user", "content": "e"}]}"#);
        let texts = |example: Example| -> Vec<String> {
            example.turns().into_iter().map(|turn| turn.text).collect()
        };
        assert_eq!(texts(chat.clone().shortened(100)), ["ab", "cd", "e"]);
        assert_eq!(texts(chat.shortened(3)), ["ab", "c"]);
    }
}
