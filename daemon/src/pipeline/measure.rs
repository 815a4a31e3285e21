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
    /// Which sample it was: only losses on the same one can be compared.
    pub sample: [u8; 32],
}

impl Pipeline {
    /// Whether there is anything to measure on.
    #[must_use]
    pub fn has_held_out(&self) -> bool {
        !self.learning.examples().sample.is_empty()
    }

    /// The held-out loss of an adapter, or of the base model. The sample is the same in every round as long as the data
    /// are, so that rounds can be compared; it takes no lock, so that it delays no job.
    ///
    /// # Errors
    /// Without held-out data; if the adapter is not here; a loss that is not a finite number; [`PipelineError::Cancelled`].
    pub fn measure(
        &self,
        adapter: Option<&ObjectRef>,
        cancel: &Cancel,
    ) -> Result<HeldOutLoss, PipelineError> {
        let examples = self.learning.examples();
        if examples.sample.is_empty() {
            return Err(PipelineError::NoHeldOut);
        }
        let adapter = match adapter {
            Some(object) => Some(GlobalAdapter::from_bytes(&self.objects.read(object)?)?),
            None => None,
        };
        let (mut sum, mut tokens, mut count) = (0.0, 0, 0);
        for chunk in examples.sample.chunks(EXAMPLES_AT_ONCE) {
            if cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            let part = self.learning.trainer()?.evaluate(adapter.as_ref(), chunk)?;
            sum += part.loss * part.tokens as f64;
            tokens += part.tokens;
            count += part.examples;
        }
        let loss = finite(sum / tokens.max(1) as f64)?;
        Ok(HeldOutLoss { loss, examples: count, tokens, sample: name(&examples.sample) })
    }
}

/// A held-out loss, unless it is none.
///
/// # Errors
/// If it is not a finite number: the adapter or the base model computes nonsense.
pub(super) fn finite(loss: f64) -> Result<f64, PipelineError> {
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(PipelineError::HeldOutNotFinite(loss)),
    }
}

/// The name of a sample: a digest over what is in it.
fn name(sample: &[TokenizedExample]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 held-out sample");
    for example in sample {
        hasher.update(&example.example.digest());
    }
    *hasher.finalize().as_bytes()
}

/// As many of the held-out examples as fit the limits, short ones beside short ones. Chosen by content, so that a line
/// more or less in the files changes at most one example of the sample, and the losses stay comparable.
pub(super) fn sample(held_out: &[TokenizedExample]) -> Vec<TokenizedExample> {
    let mut order: Vec<([u8; 32], &TokenizedExample)> =
        held_out.iter().map(|example| (example.example.digest(), example)).collect();
    order.sort_unstable_by_key(|(digest, _)| *digest);
    let lengths: Vec<usize> = order.iter().map(|(_, e)| e.sequence.ids.len()).collect();
    let mut chosen: Vec<TokenizedExample> = fitting(&lengths)
        .into_iter()
        .filter_map(|index| order.get(index).map(|(_, example)| (*example).clone()))
        .collect();
    chosen.sort_by_key(|example| example.sequence.ids.len());
    chosen
}

/// Which of the examples with these lengths make the sample: the first ones that fit.
fn fitting(lengths: &[usize]) -> Vec<usize> {
    let mut tokens = 0;
    let fits = |length: usize| {
        // The first one counts however long it is: some number is better than none.
        let fits = tokens == 0 || length <= MAX_TOKENS.saturating_sub(tokens);
        tokens += if fits { length } else { 0 };
        fits
    };
    let mut fits = fits;
    let all = lengths.iter().enumerate();
    all.filter(|(_, length)| fits(**length)).map(|(index, _)| index).take(MAX_EXAMPLES).collect()
}

#[cfg(test)]
mod tests {
    use fedshield_train::data::Example;
    use fedshield_train::model::TokenSequence;

    use super::*;

    #[test]
    fn a_sample_is_bounded() {
        assert_eq!(fitting(&[]), Vec::<usize>::new());
        assert_eq!(fitting(&[10, 20, 30]), [0, 1, 2]);
        assert_eq!(fitting(&vec![100; 1000]).len(), MAX_EXAMPLES);
        assert_eq!(fitting(&vec![1024; 1000]).len(), MAX_TOKENS / 1024);
        assert_eq!(fitting(&[1_000_000, 5]), [0]);
        assert_eq!(fitting(&[16_000, 1000, 5]), [0, 2]);
    }

    #[test]
    fn a_sample_stays_when_lines_are_added() {
        let example = |index: usize| TokenizedExample {
            example: Example::Instruction {
                instruction: index.to_string(),
                input: String::new(),
                output: "x".to_owned(),
            },
            sequence: TokenSequence { ids: vec![1; 10], labels: vec![true; 10] },
        };
        let before: Vec<_> = (0..500).map(example).collect();
        // Longer, in another order, and with a line in front.
        let after: Vec<_> = (0..501).rev().map(example).collect();
        let names = |held_out: &[TokenizedExample]| -> Vec<[u8; 32]> {
            sample(held_out).iter().map(|example| example.example.digest()).collect()
        };
        let (before, after) = (names(&before), names(&after));
        let kept = before.iter().filter(|digest| after.contains(digest)).count();
        assert_eq!(before.len(), MAX_EXAMPLES);
        assert!(kept >= MAX_EXAMPLES - 1, "{kept}");
    }

    #[test]
    fn a_loss_that_is_no_number_is_an_error() {
        assert_eq!(finite(1.5).unwrap(), 1.5);
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = finite(loss).unwrap_err().to_string();
            assert!(error.contains(&format!("held-out loss is {loss}")), "{error}");
        }
    }
}
