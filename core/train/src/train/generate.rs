//! Generation: the model's answers, token by token. Keys and values are cached, so every token
//! costs the same except for attention over the tokens before it.

mod pick;
mod words;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::trainer::Trainer;
use crate::adapter::Adapter;
use crate::data::Example;
use crate::model::{LoraLayers, Past};
use crate::random::Stream;
use crate::text::{Rendered, Template};
use crate::{Result, TrainError};
use pick::pick;
use words::Words;

/// How tokens are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Maximum length of an answer in tokens.
    pub max_tokens: usize,
    /// Temperature: 0 always takes the likeliest token; 1 samples from the model's own
    /// distribution.
    pub temperature: f64,
    /// Nucleus sampling: only the likeliest tokens that together have this probability.
    pub top_p: f64,
    /// Seed of the sampling.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { max_tokens: 64, temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerEnd {
    /// The model generated a token that ends answers.
    Stop,
    /// The answer has the requested number of tokens.
    Length,
    /// The model's context is full.
    Context,
    /// The caller stopped it.
    Interrupted,
    /// No logit was a number.
    NotFinite,
}

/// A generated answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The text, without the token that ended it.
    pub text: String,
    /// Number of tokens of the answer.
    pub tokens: usize,
    /// Number of tokens of the prompt.
    pub prompt_tokens: usize,
    /// Positions computed for this answer: the new ones of the prompt, and the answer's tokens but
    /// the last.
    pub computed: usize,
    /// Why it ended.
    pub end: AnswerEnd,
}

/// One sequence that can be continued: a model with or without an adapter, and its cache. A prompt
/// with the same beginning as the sequence so far costs only its new tokens.
pub struct Generation {
    lora: LoraLayers,
    past: Past,
    /// Tokens whose keys and values are in `past`.
    ids: Vec<u32>,
}

impl Trainer {
    /// An empty sequence.
    ///
    /// # Errors
    /// An adapter for another base model.
    pub fn generation(&self, adapter: Option<&dyn Adapter>) -> Result<Generation> {
        let (lora, past) = (self.lora(adapter)?, Past::new(&self.decoder));
        Ok(Generation { lora, past, ids: Vec::new() })
    }

    /// The model's answer to an example's question; the example's own answer is not shown to the
    /// model.
    ///
    /// # Errors
    /// Those of [`Self::generation`] and [`Self::continue_with`].
    pub fn answer(
        &self,
        adapter: Option<&dyn Adapter>,
        template: Template,
        example: &Example,
        sampling: &Sampling,
    ) -> Result<String> {
        let prompt = template.render_prompt(example, &self.tokenizer)?;
        let mut generation = self.generation(adapter)?;
        let on_text = &mut |_: &str| ControlFlow::Continue(());
        Ok(self.continue_with(&mut generation, &prompt, sampling, on_text)?.text)
    }

    /// The model's continuation of rendered text, up to an end token of the model or of the text's
    /// template. `on_text` receives each piece
    /// as soon as it consists of whole characters, and may end the answer.
    ///
    /// # Errors
    /// A prompt without tokens; tokens outside the model's vocabulary. A prompt that fills the
    /// context is not an error: its answer is empty and ends with [`AnswerEnd::Context`].
    pub fn continue_with(
        &self,
        generation: &mut Generation,
        prompt: &Rendered,
        sampling: &Sampling,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Answer> {
        let window = self.decoder.config.context();
        let ids = prompt.ids(&self.tokenizer, window)?;
        if ids.is_empty() {
            return Err(TrainError::setting("prompt", "it has no tokens"));
        }
        if ids.len() >= window {
            // The prompt leaves no space for an answer.
            let (prompt_tokens, end) = (ids.len(), AnswerEnd::Context);
            return Ok(Answer { text: String::new(), tokens: 0, prompt_tokens, computed: 0, end });
        }
        let before = generation.past.computed();
        let mut new = generation.reuse(&ids);
        let mut words = Words::new(&self.tokenizer);
        let mut stream = stream(sampling.seed);
        let end = loop {
            if words.len() == sampling.max_tokens {
                break AnswerEnd::Length;
            }
            if generation.ids.len() + new.len() >= window {
                break AnswerEnd::Context;
            }
            let Generation { lora, past, ids } = &mut *generation;
            if past.is_void(&self.decoder.config, ids.len() + new.len()) {
                past.truncate(0);
                new.splice(0..0, ids.drain(..));
            }
            let logits = self.decoder.next_logits(lora, past, &new)?;
            ids.append(&mut new);
            let Some(next) = pick(&logits, sampling, &mut stream) else {
                break AnswerEnd::NotFinite;
            };
            if self.tokenizer.is_end(next) || prompt.stops.contains(&next) {
                break AnswerEnd::Stop;
            }
            new.push(next);
            let piece = words.push(next)?;
            if !piece.is_empty() && on_text(&piece).is_break() {
                break AnswerEnd::Interrupted;
            }
        };
        let (tokens, prompt_tokens) = (words.len(), ids.len());
        let (text, rest) = words.finish()?;
        if !rest.is_empty() && end != AnswerEnd::Interrupted {
            // Nothing is left to interrupt.
            let _ = on_text(&rest);
        }
        let computed = generation.past.computed() - before;
        Ok(Answer { text, tokens, prompt_tokens, computed, end })
    }
}

impl Generation {
    /// Keeps the common prefix of `ids` and the sequence so far; returns the rest of `ids`, at
    /// least one token.
    fn reuse(&mut self, ids: &[u32]) -> Vec<u32> {
        let same = self.ids.iter().zip(ids).take_while(|(old, new)| old == new).count();
        let same = same.min(ids.len().saturating_sub(1));
        self.ids.truncate(same);
        self.past.truncate(same);
        ids[same..].to_vec()
    }
}

fn stream(seed: u64) -> Stream {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Stream::new(bytes, "sampling")
}
