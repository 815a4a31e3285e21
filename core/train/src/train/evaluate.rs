//! Evaluation: loss on the held-out response tokens, without keeping anything for a backward pass.

use std::collections::HashMap;

use serde::Serialize;

use super::gradient::lora_layers;
use super::trainer::Trainer;
use crate::Result;
use crate::adapter::{Adapter, check_fits};
use crate::data::{ShortDigest, TokenizedExample};
use crate::memory::LargeWork;
use crate::model::{Batch, LoraLayers, TokenSequence};

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean loss over all response tokens.
    pub loss: f64,
    /// Number of response tokens in the mean.
    pub tokens: usize,
    /// Number of examples.
    pub examples: usize,
}

impl Evaluation {
    /// exp(loss).
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }
}

/// The loss of one example, all of its sequences together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExampleLoss {
    /// Which example.
    pub digest: ShortDigest,
    /// Sum over its response tokens, in nats.
    pub sum: f64,
    /// Number of its response tokens.
    pub tokens: usize,
}

impl Trainer {
    /// Mean loss on the response tokens of `examples`: of the base model alone, or of base and
    /// adapter if there is one. Without examples the loss is NaN.
    pub fn evaluate(
        &self,
        adapter: Option<&dyn Adapter>,
        examples: &[TokenizedExample],
    ) -> Result<Evaluation> {
        let (mut sum, mut tokens) = (0.0, 0);
        self.each_sequence(adapter, examples, |_, losses| {
            sum += losses.iter().sum::<f64>();
            tokens += losses.len();
        })?;
        Ok(Evaluation { loss: sum / tokens as f64, tokens, examples: examples.len() })
    }

    /// As [`Self::evaluate`], for each example, in the order of `examples`.
    pub fn evaluate_each(
        &self,
        adapter: Option<&dyn Adapter>,
        examples: &[TokenizedExample],
    ) -> Result<Vec<ExampleLoss>> {
        let mut places = HashMap::new();
        let mut each: Vec<ExampleLoss> = Vec::new();
        for example in examples {
            let digest = example.digest();
            places.entry(digest).or_insert_with(|| {
                each.push(ExampleLoss { digest, sum: 0.0, tokens: 0 });
                each.len() - 1
            });
        }
        self.each_sequence(adapter, examples, |example, losses| {
            let loss = &mut each[places[&example.digest()]];
            loss.sum += losses.iter().sum::<f64>();
            loss.tokens += losses.len();
        })?;
        Ok(each)
    }

    /// Calls `each` with the losses at the response tokens of every sequence.
    fn each_sequence(
        &self,
        adapter: Option<&dyn Adapter>,
        examples: &[TokenizedExample],
        mut each: impl FnMut(&TokenizedExample, &[f64]),
    ) -> Result<()> {
        let _work = LargeWork;
        let lora = self.lora(adapter)?;
        // Sequences of similar length share a batch, which leaves little padding.
        let mut order: Vec<&TokenizedExample> = examples.iter().collect();
        order.sort_by_key(|example| example.token_count());
        for chunk in order.chunks(self.settings.batch_size) {
            let sequences: Vec<TokenSequence> =
                chunk.iter().map(|example| example.sequence()).collect::<Result<_>>()?;
            let batch = Batch::new(&sequences.iter().collect::<Vec<_>>())?;
            let mut losses = &self.decoder.losses(&lora, &batch)?[..];
            for (example, sequence) in chunk.iter().zip(&sequences) {
                let (of_this, rest) = losses.split_at(sequence.label_count());
                each(example, of_this);
                losses = rest;
            }
        }
        Ok(())
    }

    pub(crate) fn lora(&self, adapter: Option<&dyn Adapter>) -> Result<LoraLayers> {
        match adapter {
            None => Ok(LoraLayers::none(self.decoder.layers.len())),
            Some(adapter) => {
                check_fits(&adapter.projections(), self.config())?;
                Ok(lora_layers(&self.decoder, adapter))
            }
        }
    }
}
