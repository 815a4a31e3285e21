//! Sampling: a look at what the model answers. Each new token runs the whole sequence again, which is
//! slow and simple; it is for short answers, not for serving.

use serde::{Deserialize, Serialize};

use super::trainer::Trainer;
use crate::data::Example;
use crate::federated::GlobalAdapter;
use crate::random::Stream;
use crate::text::{Rendered, Template};
use crate::{Result, TrainError};

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

impl Trainer {
    /// The model's answer to an example's question (its answer is not shown to the model).
    pub fn answer(
        &self,
        adapter: Option<&GlobalAdapter>,
        template: Template,
        example: &Example,
        sampling: &Sampling,
    ) -> Result<String> {
        self.complete(adapter, &template.render_prompt(example, &self.tokenizer)?, sampling)
    }

    /// The model's continuation of rendered text, up to an end token.
    pub fn complete(
        &self,
        adapter: Option<&GlobalAdapter>,
        prompt: &Rendered,
        sampling: &Sampling,
    ) -> Result<String> {
        let lora = self.lora(adapter)?;
        // A prompt that fills the model's window leaves no room for an answer, however long it is.
        let window = self.decoder.config.context();
        let mut ids = prompt.ids(&self.tokenizer, window)?;
        if ids.is_empty() {
            return Err(TrainError::setting("prompt", "it has no tokens"));
        }
        let begin = ids.len();
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&sampling.seed.to_le_bytes());
        let mut stream = Stream::new(seed, "sampling");
        while ids.len() - begin < sampling.max_tokens && ids.len() < window {
            let logits = self.decoder.next_logits(&lora, &ids)?;
            let Some(next) = pick(&logits, sampling, &mut stream) else { break };
            if self.tokenizer.is_end(next) {
                break;
            }
            ids.push(next);
        }
        self.tokenizer.decode(&ids[begin..], false)
    }
}

/// The index of the next token; `None` if no logit is a number.
fn pick(logits: &[f32], sampling: &Sampling, stream: &mut Stream) -> Option<u32> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|id| !logits[*id].is_nan()).collect();
    if sampling.temperature <= 0.0 {
        return order
            .into_iter()
            .max_by(|x, y| logits[*x].total_cmp(&logits[*y]))
            .map(|id| id as u32);
    }
    order.sort_by(|x, y| logits[*y].total_cmp(&logits[*x]));
    let top = f64::from(logits[*order.first()?]);
    let weight = |id: &usize| ((f64::from(logits[*id]) - top) / sampling.temperature).exp();
    let total: f64 = order.iter().map(weight).sum();
    let mut kept = 0.0;
    let mut count = 0;
    for id in &order {
        kept += weight(id);
        count += 1;
        if kept >= sampling.top_p * total {
            break;
        }
    }
    let mut rest = stream.unit() * kept;
    for id in &order[..count] {
        rest -= weight(id);
        if rest < 0.0 {
            return Some(*id as u32);
        }
    }
    order.get(count - 1).map(|id| *id as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_likeliest_and_top_p_leaves_out_the_tail() {
        let mut stream = Stream::new([0; 32], "test");
        let logits = [0.0, 3.0, 2.9, -50.0];
        assert_eq!(pick(&logits, &Sampling::default(), &mut stream), Some(1));
        let sampling = Sampling { temperature: 1.0, top_p: 0.5, ..Sampling::default() };
        for _ in 0..50 {
            assert_eq!(pick(&logits, &sampling, &mut stream), Some(1));
        }
        assert_eq!(pick(&[f32::NAN], &sampling, &mut stream), None);
    }
}
