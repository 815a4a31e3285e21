//! measure: how well the adapter that a round starts from does on this member's validation sample,
//! as the number that goes into the sum. The sum alone is opened, so no single number leaves this
//! node readable ([`fedshield_protocol::wire::Measured`]).
//!
//! The sample is fixed as long as the data are, so that rounds can be compared, and its losses are
//! kept by digest, so that a round that is trained again is not measured again.

use fedshield_protocol::job::RoundStart;
use fedshield_protocol::wire::Measured;
use fedshield_train::adapter::Adapter;
use fedshield_train::data::TokenizedExample;
use fedshield_train::federated::GlobalAdapter;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::durable_state::name;
use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::learning::{Examples, LEAST_MEASURED, sample_digest};

/// The last losses that this member measured for the federation, nats per response token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptLosses {
    /// Digest of the sample.
    sample: [u8; 32],
    /// The base model's.
    base: f64,
    /// Digest of the adapter.
    adapter: [u8; 32],
    /// The adapter's.
    loss: f64,
    /// This member's best number on the sample, and the applied rounds of the first adapter that
    /// had it.
    best: Option<(u16, u64)>,
}

impl Pipeline {
    /// The number of this member for the sum of a round that starts from `global`, and whether it
    /// has stopped improving by the rule of the terms. `None` where members do not measure together,
    /// and if this one cannot: it then counts for nothing, and its update is sent all the same.
    ///
    /// # Errors
    /// [`PipelineError::Cancelled`].
    pub(super) fn joint_number(
        &self,
        start: &RoundStart,
        global: &GlobalAdapter,
        cancel: &CancellationToken,
    ) -> Result<(Option<u16>, bool), PipelineError> {
        if !self.terms.measures() {
            return Ok((None, false));
        }
        let round = start.round;
        let data = self.data_of(round);
        let measured = timed(&*self.observer, round, Stage::Evaluate, || {
            self.joint_losses(global, &data, cancel)
        });
        match measured {
            Ok(kept) => Ok((number_of(kept.loss, kept.base), self.has_stalled(start, &kept))),
            Err(PipelineError::Cancelled) => Err(PipelineError::Cancelled),
            Err(error) => {
                tracing::warn!(%round, %error, "not measured for the federation's mean: this \
                                                member's update counts for nothing in it");
                Ok((None, false))
            }
        }
    }

    /// Whether so many rounds have been applied since this member's best number as the terms say.
    /// Once the training has ended, and in the round that measures its result, nobody is asked.
    fn has_stalled(&self, start: &RoundStart, kept: &KeptLosses) -> bool {
        let Some(stop) = self.terms.manifest.stop else { return false };
        let is_open = start.stopped.is_none() && !self.terms.is_trained(start.applied);
        let since = kept.best.map(|(_, applied)| start.applied.saturating_sub(applied));
        is_open && since.is_some_and(|rounds| rounds >= u64::from(stop.after))
    }

    /// Losses of the base model and of `global` on this member's sample, kept before anything that
    /// follows from them is sent.
    fn joint_losses(
        &self,
        global: &GlobalAdapter,
        data: &Examples,
        cancel: &CancellationToken,
    ) -> Result<KeptLosses, PipelineError> {
        let held_out = data.set.held_out.len();
        if held_out < LEAST_MEASURED {
            return Err(PipelineError::TooFewHeldOut { held_out });
        }
        let sample = data.joint_sample(self.terms.examples_per_round());
        let (of, adapter) = (sample_digest(&sample), global.digest());
        let kept = self.secrets.get(name::JOINT_LOSSES)?;
        let kept = kept.and_then(|bytes| postcard::from_bytes::<KeptLosses>(&bytes).ok());
        let kept = kept.filter(|kept| kept.sample == of);
        if let Some(kept) = kept.filter(|kept| kept.adapter == adapter) {
            return Ok(kept);
        }
        let loss = |with_adapter| self.joint_loss(global, with_adapter, &sample, cancel);
        let base = match kept {
            Some(kept) => kept.base,
            None => loss(false)?,
        };
        let (best, loss) = (kept.and_then(|kept| kept.best), loss(true)?);
        let number = number_of(loss, base).map(|number| (number, global.applied()));
        // The first adapter of several equal ones.
        let best = match (best, number) {
            (Some(best), Some(number)) if number.0 >= best.0 => Some(best),
            (best, number) => number.or(best),
        };
        let kept = KeptLosses { sample: of, base, adapter, loss, best };
        self.keep(name::JOINT_LOSSES, &kept)?;
        Ok(kept)
    }

    /// The loss of `global`, or without an adapter of the base model, by whoever trains here.
    fn joint_loss(
        &self,
        global: &GlobalAdapter,
        with_adapter: bool,
        sample: &[TokenizedExample],
        cancel: &CancellationToken,
    ) -> Result<f64, PipelineError> {
        let by_command = self.learning.evaluate_by_command(global, with_adapter, sample, cancel)?;
        if let Some(loss) = by_command {
            return Ok(loss);
        }
        let adapter = with_adapter.then_some(global as &dyn Adapter);
        Ok(self.loss_on(adapter, sample, cancel)?.loss)
    }
}

/// Loss over base loss, clipped to 0 to below 2, in units of 1 / [`Measured::ONE`]; `None` if the
/// base loss is not above zero, or either is not a number.
fn number_of(loss: f64, base: f64) -> Option<u16> {
    let ratio = loss / base;
    if !ratio.is_finite() || base <= 0.0 || loss < 0.0 {
        return None;
    }
    let units = (ratio * f64::from(Measured::ONE)).round();
    // The cast saturates below as well.
    Some(units.min(f64::from(u16::MAX)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_loss_over_the_base_loss_within_its_range() {
        for (loss, base, expected) in [
            (2.0, 2.0, Some(32_768)),
            (1.0, 2.0, Some(16_384)),
            (0.0, 2.0, Some(0)),
            (3.999, 2.0, Some(65_520)),
            (4.0, 2.0, Some(65_535)),
            (1e300, 2.0, Some(65_535)),
            (1.0, 0.0, None),
            (0.0, 0.0, None),
            (1.0, -1.0, None),
            (-1.0, 1.0, None),
            (f64::NAN, 1.0, None),
            (1.0, f64::NAN, None),
            (f64::INFINITY, 1.0, None),
        ] {
            assert_eq!(number_of(loss, base), expected, "{loss} {base}");
        }
    }
}
