//! Generation: the model's answers, token by token. What was computed of a sequence is kept, so a token costs the same at
//! any position but for the attention over what came before.

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

/// How answers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Longest answer in tokens.
    pub max_tokens: usize,
    /// 0 takes the likeliest token each time; 1 draws from the model's own distribution.
    pub temperature: f64,
    /// Draw only among the likeliest tokens that together have this probability.
    pub top_p: f64,
    /// Seed of the draw.
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
    /// The model gave a token that ends answers.
    Stop,
    /// It has as many tokens as were asked for.
    Length,
    /// The model's context is full.
    Context,
    /// The caller had enough.
    Interrupted,
    /// No logit was a number.
    NotFinite,
}

/// A generated answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Its text, without the token that ended it.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Positions that were run through the layers for it: what is new in the prompt, and the tokens but the last.
    pub computed: usize,
    /// Why it ended.
    pub end: AnswerEnd,
}

/// One sequence that goes on: a model with or without an adapter, and what it has computed so far. A prompt that begins
/// like the sequence so far costs only its new tokens.
pub struct Generation {
    lora: LoraLayers,
    past: Past,
    /// Tokens that `past` keeps.
    ids: Vec<u32>,
}

impl Trainer {
    /// A sequence that has not begun.
    ///
    /// # Errors
    /// An adapter for another base model.
    pub fn generation(&self, adapter: Option<&dyn Adapter>) -> Result<Generation> {
        let (lora, past) = (self.lora(adapter)?, Past::new(&self.decoder));
        Ok(Generation { lora, past, ids: Vec::new() })
    }

    /// The model's answer to an example's question (its answer is not shown to the model).
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

    /// The model's continuation of rendered text, up to an end token. `on_text` gets each piece as soon as it is whole
    /// characters, and may end the answer.
    ///
    /// # Errors
    /// A prompt without tokens or as long as the model's context; tokens that the model does not know.
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
            // It leaves no room for an answer, however long it is.
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
            if self.tokenizer.is_end(next) {
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
    /// Keeps what `ids` have in common with the sequence so far; gives the rest of them, at least one.
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
