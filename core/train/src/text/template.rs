//! How an example becomes text, and which part of that text carries a loss.

use serde::{Deserialize, Serialize};

use super::chat;
use super::first::FirstTokens;
use super::tokenizer::TextTokenizer;
use crate::data::{Example, Role, Turn};
use crate::model::TokenSequence;
use crate::{Result, TrainError};

/// A named template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// `### Instruction:`, `### Input:`, `### Response:` after a sentence that introduces them.
    #[default]
    Alpaca,
    /// `<|im_start|>role`, text, `<|im_end|>` for each turn.
    ChatMl,
    /// The model's own chat template.
    Model,
    /// `USER:` and `ASSISTANT:` on one line each, after a system sentence.
    Vicuna,
}

impl Template {
    /// Reads a template's name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "alpaca" => Ok(Self::Alpaca),
            "chatml" => Ok(Self::ChatMl),
            "model" => Ok(Self::Model),
            "vicuna" => Ok(Self::Vicuna),
            other => Err(TrainError::Template {
                name: other.to_owned(),
                reason: "not one of alpaca, chatml, model, vicuna".to_owned(),
            }),
        }
    }

    /// This template, or the plainest one where the model's own is asked for and it has none.
    pub fn or_plain(self, tokenizer: &TextTokenizer) -> Self {
        match self {
            Self::Model if tokenizer.chat_template.is_none() => Self::Alpaca,
            named => named,
        }
    }

    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpaca => "alpaca",
            Self::ChatMl => "chatml",
            Self::Model => "model",
            Self::Vicuna => "vicuna",
        }
    }
}

/// A piece of rendered text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Whether its tokens carry a loss.
    pub labelled: bool,
    /// Whether the token that ends an answer follows.
    pub end: bool,
}

impl Segment {
    fn prompt(text: impl Into<String>) -> Self {
        Self { text: text.into(), labelled: false, end: false }
    }

    fn answer(text: &str, end: bool) -> Self {
        Self { text: text.to_owned(), labelled: true, end }
    }
}

const ALPACA_WITH_INPUT: &str = "Below is an instruction that describes a task, paired with an input that \
provides further context. Write a response that appropriately completes the request.";
const ALPACA_WITHOUT_INPUT: &str = "Below is an instruction that describes a task. Write a response that appropriately completes \
the request.";
const VICUNA_SYSTEM: &str = "A chat between a curious user and an artificial intelligence assistant. \
The assistant gives helpful, detailed, and polite answers to the user's questions.";

impl Template {
    /// Renders a whole example, answers included. The tokenizer knows the model's own template.
    pub fn render(self, example: &Example, tokenizer: &TextTokenizer) -> Result<Vec<Segment>> {
        match self {
            Self::Alpaca => self.alpaca(example),
            Self::ChatMl => Ok(chatml(&example.turns())),
            Self::Model => chat::render(&example.turns(), tokenizer),
            Self::Vicuna => Ok(vicuna(&example.turns())),
        }
    }

    /// The first `limit` tokens of a rendered example, or all of them. What follows in the example is not looked at, and
    /// takes no memory but for its text.
    ///
    /// # Errors
    /// What the template refuses, or text of which too much makes too few tokens.
    pub fn first_tokens(
        self,
        example: &Example,
        tokenizer: &TextTokenizer,
        limit: usize,
    ) -> Result<TokenSequence> {
        if self != Self::Model {
            return tokenize_first(tokenizer, &self.render(example, tokenizer)?, limit);
        }
        let mut tokens = FirstTokens::new(tokenizer, limit);
        chat::each_segment(&example.turns(), tokenizer, &mut |segment| {
            tokens.push(&segment)?;
            Ok(tokens.is_full())
        })?;
        Ok(tokens.sequence)
    }

    /// How many tokens a whole rendered example has, in bounded memory: to a few, see [`TextTokenizer::count`]; and with
    /// the model's own template as if the whole conversation were one piece, because rendering it answer by answer takes a
    /// time that goes with the square of their number.
    pub(crate) fn count_tokens(
        self,
        example: &Example,
        tokenizer: &TextTokenizer,
    ) -> Result<usize> {
        let bos = usize::from(tokenizer.bos.is_some());
        if self == Self::Model {
            let text = chat::whole_text(&example.turns(), tokenizer)?;
            return Ok(bos + tokenizer.count(&text)?);
        }
        let mut count = bos;
        for segment in self.render(example, tokenizer)? {
            count += tokenizer.count(&segment.text)?;
            count += usize::from(segment.end && !tokenizer.eos.is_empty());
        }
        Ok(count)
    }

    /// Renders an example up to where the last answer begins: what a model is given to complete.
    pub fn render_prompt(
        self,
        example: &Example,
        tokenizer: &TextTokenizer,
    ) -> Result<Vec<Segment>> {
        let mut segments = self.render(example, tokenizer)?;
        let last = segments.iter().rposition(|segment| segment.labelled);
        segments.truncate(last.unwrap_or(segments.len()));
        Ok(segments)
    }

    fn alpaca(self, example: &Example) -> Result<Vec<Segment>> {
        let (instruction, input, output) = match example {
            Example::Instruction { system: None, history, instruction, input, output }
                if history.is_empty() =>
            {
                (instruction.clone(), input.clone(), output.clone())
            }
            _ => {
                let turns = example.turns();
                let (system, rest) = match turns.first() {
                    Some(turn) if turn.role == Role::System => (Some(turn.said()), &turns[1..]),
                    _ => (None, &turns[..]),
                };
                let [
                    asked @ Turn { role: Role::User, .. },
                    answer @ Turn { role: Role::Assistant, .. },
                ] = rest
                else {
                    return Err(TrainError::Template {
                        name: self.name().to_owned(),
                        reason: "needs one question and one answer; use chatml for longer \
                                 conversations"
                            .to_owned(),
                    });
                };
                (
                    system.unwrap_or(asked.said()).to_owned(),
                    system.map(|_| asked.said().to_owned()).unwrap_or_default(),
                    answer.said().to_owned(),
                )
            }
        };
        let prompt = if input.is_empty() {
            format!("{ALPACA_WITHOUT_INPUT}\n\n### Instruction:\n{instruction}\n\n### Response:\n")
        } else {
            format!(
                "{ALPACA_WITH_INPUT}\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n\
                 ### Response:\n"
            )
        };
        Ok(vec![Segment::prompt(prompt), Segment::answer(&output, true)])
    }
}

fn chatml(turns: &[Turn]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for turn in turns {
        let role = turn.role.name();
        segments.push(Segment::prompt(format!("<|im_start|>{role}\n")));
        let body = format!("{}<|im_end|>", turn.said());
        segments.push(match turn.role {
            Role::Assistant => Segment::answer(&body, false),
            _ => Segment::prompt(body),
        });
        segments.push(Segment::prompt("\n"));
    }
    join_prompts(segments)
}

fn vicuna(turns: &[Turn]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let system = turns.iter().find(|turn| turn.role == Role::System);
    segments.push(Segment::prompt(system.map_or(VICUNA_SYSTEM, Turn::said)));
    for turn in turns {
        match turn.role {
            Role::System | Role::Developer | Role::Tool => {}
            Role::User => segments.push(Segment::prompt(format!(" USER: {}", turn.said()))),
            Role::Assistant => {
                segments.push(Segment::prompt(" ASSISTANT: "));
                segments.push(Segment::answer(turn.said(), true));
            }
        }
    }
    join_prompts(segments)
}

/// Joins neighbouring unlabelled pieces, so that tokens are not cut where nothing changes.
fn join_prompts(segments: Vec<Segment>) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::new();
    for segment in segments {
        match joined.last_mut() {
            Some(last) if !last.labelled && !segment.labelled && !last.end => {
                last.text.push_str(&segment.text);
            }
            _ => joined.push(segment),
        }
    }
    joined
}

/// Tokenises rendered segments; each is tokenised by itself, so that the mask is exact.
pub fn tokenize(tokenizer: &TextTokenizer, segments: &[Segment]) -> Result<TokenSequence> {
    tokenize_first(tokenizer, segments, usize::MAX)
}

/// The first `limit` tokens of [`tokenize`], or all of them.
pub fn tokenize_first(
    tokenizer: &TextTokenizer,
    segments: &[Segment],
    limit: usize,
) -> Result<TokenSequence> {
    let mut tokens = FirstTokens::new(tokenizer, limit);
    for segment in segments {
        tokens.push(segment)?;
    }
    Ok(tokens.sequence)
}
