//! Evaluation: loss on the held-out response tokens, without keeping anything for a backward pass.

use serde::Serialize;

use super::gradient::lora_layers;
use super::trainer::Trainer;
use crate::Result;
use crate::adapter::{Adapter, check_fits};
use crate::data::TokenizedExample;
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

impl Trainer {
    /// Mean loss on the response tokens of `examples`: of the base model alone, or of base and
    /// adapter if there is one. Without examples the loss is NaN.
    pub fn evaluate(
        &self,
        adapter: Option<&dyn Adapter>,
        examples: &[TokenizedExample],
    ) -> Result<Evaluation> {
        let _work = LargeWork;
        let lora = self.lora(adapter)?;
        let (mut sum, mut tokens) = (0.0, 0);
        // Sequences of similar length share a batch, which leaves little padding.
        let mut order: Vec<&TokenizedExample> = examples.iter().collect();
        order.sort_by_key(|example| example.token_count());
        for chunk in order.chunks(self.settings.batch_size) {
            let sequences: Vec<TokenSequence> =
                chunk.iter().map(|example| example.sequence()).collect::<Result<_>>()?;
            let batch = Batch::new(&sequences.iter().collect::<Vec<_>>())?;
            sum += self.decoder.loss_sum(&lora, &batch)?;
            tokens += batch.label_count();
        }
        Ok(Evaluation { loss: sum / tokens as f64, tokens, examples: examples.len() })
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
