//! The held-out loss of one adapter on a small fixed sample, cheap enough to be taken after every round. It stays here.

use fedshield_protocol::object::ObjectRef;
use fedshield_train::data::TokenizedExample;
use fedshield_train::federated::GlobalAdapter;

use super::{Pipeline, PipelineError};
use crate::host::Cancel;

/// Most examples in the sample.
const MAX_EXAMPLES: usize = 64;
/// Most tokens in it, prompts included: a few optimiser steps' worth of forward passes.
const MAX_TOKENS: usize = 16_384;
/// Examples between two looks at the cancel flag.
const EXAMPLES_AT_ONCE: usize = 4;

/// A mean loss and what it was taken over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutLoss {
    /// Nats per response token.
    pub loss: f64,
    /// Examples in the sample.
    pub examples: usize,
    /// Response tokens in it.
    pub tokens: usize,
}

impl Pipeline {
    /// Whether there is anything to measure on.
    #[must_use]
    pub fn has_held_out(&self) -> bool {
        !self.learning.sample.is_empty()
    }

    /// The held-out loss of an adapter, or of the base model. The sample is the same in every round, so that rounds can
    /// be compared; it takes no lock, so that it delays no job.
    ///
    /// # Errors
    /// Without held-out data; if the adapter is not here; [`PipelineError::Cancelled`].
    pub fn measure(
        &self,
        adapter: Option<&ObjectRef>,
        cancel: &Cancel,
    ) -> Result<HeldOutLoss, PipelineError> {
        if !self.has_held_out() {
            return Err(PipelineError::NoHeldOut);
        }
        let adapter = match adapter {
            Some(object) => Some(GlobalAdapter::from_bytes(&self.objects.read(object)?)?),
            None => None,
        };
        let (mut sum, mut tokens, mut examples) = (0.0, 0, 0);
        for chunk in self.learning.sample.chunks(EXAMPLES_AT_ONCE) {
            if cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            let part = self.learning.trainer()?.evaluate(adapter.as_ref(), chunk)?;
            sum += part.loss * part.tokens as f64;
            tokens += part.tokens;
            examples += part.examples;
        }
        Ok(HeldOutLoss { loss: sum / tokens.max(1) as f64, examples, tokens })
    }
}

/// Examples from all over the held-out data, as many as fit the limits, short ones beside short ones.
pub(super) fn sample(held_out: &[TokenizedExample]) -> Vec<TokenizedExample> {
    let lengths: Vec<usize> = held_out.iter().map(|example| example.sequence.ids.len()).collect();
    let mut chosen: Vec<TokenizedExample> =
        spread(&lengths).into_iter().filter_map(|index| held_out.get(index).cloned()).collect();
    chosen.sort_by_key(|example| example.sequence.ids.len());
    chosen
}

/// Which of the examples with these lengths make the sample: evenly spaced ones.
fn spread(lengths: &[usize]) -> Vec<usize> {
    let wanted = lengths.len().min(MAX_EXAMPLES);
    let mut tokens = 0;
    (0..wanted)
        .map(|place| place * lengths.len() / wanted)
        .filter(|index| {
            let length = lengths.get(*index).copied().unwrap_or(usize::MAX);
            // The first one counts however long it is: some number is better than none.
            let fits = tokens == 0 || length <= MAX_TOKENS.saturating_sub(tokens);
            tokens += if fits { length } else { 0 };
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_comes_from_everywhere() {
        assert_eq!(spread(&[]), Vec::<usize>::new());
        assert_eq!(spread(&[10, 20, 30]), [0, 1, 2]);
        let many = spread(&vec![100; 1000]);
        assert_eq!(many.len(), MAX_EXAMPLES);
        assert!(many.first() == Some(&0) && many.last().is_some_and(|last| *last > 950));
        let long = spread(&vec![1024; 1000]);
        assert_eq!(long.len(), MAX_TOKENS / 1024);
        assert_eq!(spread(&[1_000_000, 5]), [0]);
    }
}
