//! The held-out loss of one adapter on a small fixed sample, cheap enough to measure after every
//! round. The result is not sent to other members.

use fedshield_protocol::object::ObjectRef;
use fedshield_train::adapter::Adapter;
use fedshield_train::data::TokenizedExample;
use fedshield_train::federated::GlobalAdapter;
use tokio_util::sync::CancellationToken;

use super::{Pipeline, PipelineError};
use crate::learning::sample_digest;

/// Examples between two checks of the cancel flag.
const EXAMPLES_AT_ONCE: usize = 4;

/// A mean loss and the sample that it was measured on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutLoss {
    /// Nats per response token.
    pub loss: f64,
    /// Examples in the sample.
    pub examples: usize,
    /// Response tokens in it.
    pub tokens: usize,
    /// Digest of the sample: only losses on the same one can be compared.
    pub sample: [u8; 32],
}

impl Pipeline {
    /// Whether there is held-out data to measure on.
    #[must_use]
    pub fn has_held_out(&self) -> bool {
        !self.learning.examples().sample.is_empty()
    }

    /// The held-out loss of an adapter, or of the base model. The sample is the same in every round
    /// while the data does not change, so that rounds can be compared. Takes no lock, so that it
    /// delays no job.
    ///
    /// # Errors
    /// If there is no held-out data, the adapter is not stored here, or the loss is not finite;
    /// [`PipelineError::Cancelled`].
    pub fn measure(
        &self,
        adapter: Option<&ObjectRef>,
        cancel: &CancellationToken,
    ) -> Result<HeldOutLoss, PipelineError> {
        let examples = self.learning.examples();
        if examples.sample.is_empty() {
            return Err(PipelineError::NoHeldOut);
        }
        let adapter = match adapter {
            Some(object) => Some(GlobalAdapter::from_bytes(&self.objects.read(object)?)?),
            None => None,
        };
        let adapter = adapter.as_ref().map(|adapter| adapter as &dyn Adapter);
        self.loss_on(adapter, &examples.sample, cancel)
    }

    /// The mean loss of an adapter, or of the base model, on `sample`.
    ///
    /// # Errors
    /// If the loss is not finite; [`PipelineError::Cancelled`].
    pub(super) fn loss_on(
        &self,
        adapter: Option<&dyn Adapter>,
        sample: &[TokenizedExample],
        cancel: &CancellationToken,
    ) -> Result<HeldOutLoss, PipelineError> {
        let (mut sum, mut tokens, mut count) = (0.0, 0, 0);
        for chunk in sample.chunks(EXAMPLES_AT_ONCE) {
            if cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            let part = self.learning.trainer()?.evaluate(adapter, chunk)?;
            sum += part.loss * part.tokens as f64;
            tokens += part.tokens;
            count += part.examples;
        }
        let loss = finite(sum / tokens.max(1) as f64)?;
        Ok(HeldOutLoss { loss, examples: count, tokens, sample: sample_digest(sample) })
    }
}

/// Checks that a held-out loss is a finite number.
///
/// # Errors
/// If it is NaN or infinite: the adapter or the base model is numerically broken.
pub(super) fn finite(loss: f64) -> Result<f64, PipelineError> {
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(PipelineError::HeldOutNotFinite(loss)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_no_number_is_an_error() {
        assert_eq!(finite(1.5).unwrap(), 1.5);
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = finite(loss).unwrap_err().to_string();
            assert!(error.contains(&format!("held-out loss is {loss}")), "{error}");
        }
    }
}
