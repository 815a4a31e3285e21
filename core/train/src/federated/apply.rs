//! apply: computes the next global adapter from the opened sum, with the same bits at every member.
//!
//! Plain f64 arithmetic, one coordinate after the other, without fused operations or parallel
//! reductions.

use super::global::GlobalAdapter;
use super::mask::Mask;
use super::settings::FederatedSettings;
use crate::{Result, TrainError, Valid};

/// The sum of a round's quantised updates, and what is needed to turn it into their mean.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSum<'a> {
    /// Sum over the contributors of `round(scale * weight_i * x_i)`, in the mask's order, with x in
    /// the unit of its factor.
    pub values: &'a [i64],
    /// The public scale of the round.
    pub scale: f64,
    /// Sum of the contributors' weights, as the manifest declares them.
    pub weight_sum: u64,
    /// Number of contributors.
    pub contributors: u64,
}

/// Why an opened sum is not applied. Every member reaches the same verdict.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// A coordinate is outside the range of a sum of clipped updates.
    #[error("coordinate {position} of the mask opened to {value}, beyond ±{limit}")]
    Coordinate {
        /// Position in the mask's order.
        position: usize,
        /// The opened value.
        value: i64,
        /// The bound: scale * weight_sum * clip, plus one for each contributor's rounding.
        limit: i64,
    },
    /// The number of opened values differs from the mask's length.
    #[error("{opened} values opened, the mask has {masked}")]
    Length {
        /// Number of opened values.
        opened: usize,
        /// Number of coordinates in the mask.
        masked: usize,
    },
    /// The new adapter would hold a value that is not finite.
    #[error("coordinate {position} of the mask would not be finite")]
    NotFinite {
        /// Position in the mask's order.
        position: usize,
    },
}

impl UpdateSum<'_> {
    /// The deterministic range check; `clip` is the bound of the round's first factor, in whose
    /// unit that of every factor is the same.
    pub fn check(&self, mask: &Mask, clip: f32) -> std::result::Result<(), Rejection> {
        let (opened, masked) = (self.values.len(), mask.len());
        if opened != masked {
            return Err(Rejection::Length { opened, masked });
        }
        let reach = self.scale * self.weight_sum as f64 * f64::from(clip);
        let limit = (reach.floor() as i64).saturating_add(self.contributors as i64);
        for (position, value) in self.values.iter().enumerate() {
            if value.unsigned_abs() > limit.unsigned_abs() {
                return Err(Rejection::Coordinate { position, value: *value, limit });
            }
        }
        Ok(())
    }

    /// The weighted mean of the contributors' values, in the mask's order and in the units in which
    /// they were sent.
    pub fn mean(&self) -> impl Iterator<Item = f64> + '_ {
        let divisor = self.scale * self.weight_sum.max(1) as f64;
        self.values.iter().map(move |value| *value as f64 / divisor)
    }
}

impl GlobalAdapter {
    /// The adapter after this round: values, scores and server state change at the mask's
    /// coordinates, and `applied` increases by one. `self` is unchanged, so an error leaves no
    /// partial result.
    ///
    /// Scores: |mean| in a factor's first round, then S = decay * S + (1 - decay) * |mean| where a
    /// coordinate was sent. Where it was not, S is unchanged.
    pub fn apply(
        &self,
        settings: &Valid<FederatedSettings>,
        mask: &Mask,
        opened: &UpdateSum<'_>,
    ) -> Result<Self> {
        self.check_settings(settings)?;
        if mask.dense_len() != self.trained_len() {
            let (masked, trained) = (mask.dense_len(), self.trained_len());
            let reason = format!("a mask over {masked} values for {trained} trained ones");
            return Err(TrainError::Adapter(reason));
        }
        opened.check(mask, settings.clip(self.applied, settings.first_factor(self.applied)))?;
        let mut next = self.clone();
        let first = self.algorithm.is_first(self.applied);
        let mut sent = mask.indices().iter().zip(opened.mean()).enumerate().peekable();
        let mut start = 0;
        for factor in self.trained_factors() {
            let applied = self.algorithm.applied_to(self.applied, *factor) + 1;
            let unit = settings.unit(self.applied, *factor);
            let state = next.factor_mut(*factor);
            let end = start + state.values.len();
            while let Some((position, (index, mean))) =
                sent.next_if(|(_, (index, _))| (**index as usize) < end)
            {
                let (index, mean) = (*index as usize - start, mean * unit);
                let (mut none1, mut none2) = (0.0, 0.0);
                let [first_state, second_state] = match state.server.as_mut_slice() {
                    [] => [&mut none1, &mut none2],
                    [one] => [&mut one[index], &mut none2],
                    [one, two, ..] => [&mut one[index], &mut two[index]],
                };
                let change = settings.server.step(mean, [first_state, second_state], applied);
                let value = (f64::from(state.values[index]) + change) as f32;
                if !value.is_finite() {
                    return Err(Rejection::NotFinite { position }.into());
                }
                state.values[index] = value;
                let old = f64::from(state.scores[index]);
                let decay = settings.score_decay;
                let score = match first {
                    true => mean.abs(),
                    false => decay * old + (1.0 - decay) * mean.abs(),
                };
                state.scores[index] = score as f32;
            }
            start = end;
        }
        next.applied += 1;
        Ok(next)
    }
}
