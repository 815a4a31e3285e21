//! How an example becomes text, and which part of that text carries a loss.

use serde::{Deserialize, Serialize};

use super::chat::Conversation;
use super::named;
use super::rendered::{Rendered, Tokenized, Writer};
use super::tokenizer::TextTokenizer;
use crate::data::Example;
use crate::{Result, TrainError};

/// A named template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// `### Instruction:`, `### Input:` and `### Response:` after an introductory sentence.
    #[default]
    Alpaca,
    /// `<|im_start|>role`, text, `<|im_end|>` for each turn.
    ChatMl,
    /// The model's own chat template.
    Model,
    /// `USER:` and `ASSISTANT:` on one line each, after a system prompt.
    Vicuna,
}

impl Template {
    /// Parses a template's name.
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

    /// This template, or the plainest one if the model's own is requested and the model has none.
    pub fn or_plain(self, tokenizer: &TextTokenizer) -> Self {
        let has_none = tokenizer.chat_template.is_none() && tokenizer.template_problem.is_none();
        match self {
            Self::Model if has_none => Self::Alpaca,
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

    /// Renders a whole example, answers included: once, or once per answer if the model's own
    /// template renders earlier turns differently as the conversation goes on.
    ///
    /// # Errors
    /// Content that the template refuses; a template whose tokens the model does not have.
    pub fn render(self, example: &Example, tokenizer: &TextTokenizer) -> Result<Vec<Rendered>> {
        match self.in_one(example, tokenizer)? {
            Some(rendered) => Ok(vec![rendered]),
            None => Conversation::new(example, tokenizer)?.render(),
        }
    }

    /// The first `limit` tokens of each part of an example: see [`Self::render`]. The rest of a
    /// part is not tokenised and takes no memory beyond its text.
    ///
    /// # Errors
    /// Content that the template refuses; text that gives too few tokens for its length.
    pub fn tokenize(
        self,
        example: &Example,
        tokenizer: &TextTokenizer,
        limit: usize,
    ) -> Result<Vec<Tokenized>> {
        match self.in_one(example, tokenizer)? {
            Some(rendered) => match example {
                Example::Completion { prompt, .. } => {
                    Ok(vec![rendered.tokenize_behind(prompt, tokenizer, limit)?])
                }
                _ => Ok(vec![rendered.tokenize(tokenizer, limit)?]),
            },
            None => Conversation::new(example, tokenizer)?.tokenize(limit),
        }
    }

    /// Renders the longest part of an example, without what is learned of it. Answers behind the
    /// first `limit` tokens are not rendered one by one, as [`Self::render`] does.
    ///
    /// # Errors
    /// Those of [`Self::render`].
    pub(crate) fn longest(
        self,
        example: &Example,
        tokenizer: &TextTokenizer,
        limit: usize,
    ) -> Result<Rendered> {
        match self.in_one(example, tokenizer)? {
            Some(rendered) => Ok(rendered),
            None => Conversation::new(example, tokenizer)?.longest(limit),
        }
    }

    /// Renders an example up to where the last answer begins: the prompt that a model completes.
    ///
    /// # Errors
    /// Those of [`Self::render`].
    pub fn render_prompt(self, example: &Example, tokenizer: &TextTokenizer) -> Result<Rendered> {
        let Some(mut rendered) = self.in_one(example, tokenizer)? else {
            return Conversation::new(example, tokenizer)?.prompt();
        };
        rendered.text.truncate(rendered.last_answer);
        rendered.learned.retain(|part| part.end <= rendered.last_answer);
        Ok(rendered)
    }

    /// Plain text, or the rendering by a built-in template; `None` if the model's own template
    /// renders the example.
    fn in_one(self, example: &Example, tokenizer: &TextTokenizer) -> Result<Option<Rendered>> {
        if let Example::Completion { prompt, completion } = example {
            return plain(prompt, completion, tokenizer).map(Some);
        }
        match self {
            Self::Model => Ok(None),
            Self::Alpaca => named::alpaca(example, tokenizer).map(Some),
            Self::ChatMl => named::chatml(example, tokenizer).map(Some),
            Self::Vicuna => named::vicuna(example, tokenizer).map(Some),
        }
    }
}

/// Plain text and its continuation up to an end token, as TRL treats a prompt and a completion.
fn plain(prompt: &str, completion: &str, tokenizer: &TextTokenizer) -> Result<Rendered> {
    let end = named::end("plain text", tokenizer)?;
    let end = if completion.ends_with(&end) { "" } else { &end };
    let mut writer = Writer::new();
    writer.put(prompt);
    writer.answer(&[completion, end], true);
    Ok(writer.finish(2))
}
