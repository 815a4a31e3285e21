//! One line of a data set: Alpaca, prompt and completion, chat messages or ShareGPT.

use std::path::Path;

use serde::Deserialize;

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
    pub fn answer(&self) -> String {
        let turns = self.turns();
        let answer = turns.into_iter().rev().find(|turn| turn.role == Role::Assistant);
        answer.map(|turn| turn.text).unwrap_or_default()
    }

    /// BLAKE3 of the content, independent of file, line and format details.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-train v1 example");
        for turn in self.turns() {
            hasher.update(turn.role.name().as_bytes());
            hasher.update(&(turn.text.len() as u64).to_le_bytes());
            hasher.update(turn.text.as_bytes());
        }
        *hasher.finalize().as_bytes()
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
                    bad(format!("role {:?} is not one of system, user, assistant", turn.role))
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

/// serde_json says "at line 1 column 7"; its line is ours only by accident.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cut = text.rfind(" at line ").unwrap_or(text.len());
    format!("not valid JSON of a known form: {} (column {})", &text[..cut], error.column())
}
