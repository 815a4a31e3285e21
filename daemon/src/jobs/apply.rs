//! apply: the opened sum becomes the next common adapter, the same bits at every member.

use fedshield_protocol::ids::SumDigest;
use fedshield_protocol::job::{Applied, JobOutput, RoundStart};
use fedshield_protocol::wire::UpdateSet;
use fedshield_train::TrainError;
use fedshield_train::federated::UpdateSum;

use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};

impl Pipeline {
    pub(super) fn apply(
        &self,
        start: &RoundStart,
        set: &UpdateSet,
        sum: &SumDigest,
    ) -> Result<JobOutput, PipelineError> {
        let RoundStart { round, applied, beacon, .. } = *start;
        let opened = self.opened_sum(round)?;
        if opened.digest != *sum {
            return Err(PipelineError::OtherSum { round });
        }
        let mut state = self.state();
        // After a restart between writing the adapter and the end of the round: apply to the
        // adapter before, with the same result.
        let earlier = match state.global.applied() == applied {
            true => None,
            false => Some(self.earlier_adapter(&state, round, applied)?),
        };
        let before = earlier.as_ref().unwrap_or(&state.global);
        let next = timed(&*self.observer, round, Stage::Apply, || {
            let mask = self.mask_of(before, &beacon);
            let sum = UpdateSum {
                values: &opened.values,
                scale: self.terms.scale(applied),
                weight_sum: self.terms.weight_sum(set.contributors()),
                contributors: set.len() as u64,
            };
            if opened.out_of_range > 0 {
                tracing::warn!(%round, slots = opened.out_of_range, "sum rejected: slots out of range");
                return Ok(None);
            }
            // The round that measures the final adapter changes nothing.
            if self.terms.is_trained(applied) {
                return Ok(Some(before.clone()));
            }
            match before.apply(&self.terms.settings, &mask, &sum) {
                Ok(next) => Ok(Some(next)),
                Err(TrainError::Rejected(reason)) => {
                    tracing::warn!(%round, %reason, "sum rejected");
                    Ok(None)
                }
                Err(other) => Err(other),
            }
        })?;
        let accepted = next.is_some();
        let adapter = match next {
            Some(next) if next.applied() > applied => {
                let adapter = self.objects.put(&next.to_bytes())?;
                state.set_global(next, &adapter)?;
                adapter
            }
            Some(_) | None => self.objects.put(&before.to_bytes())?,
        };
        let (nonce, measured) = (opened.nonce, opened.measured);
        if self.terms.measures() && measured.is_none() {
            tracing::warn!(%round, "no mean of the members' losses: nobody has measured, or the \
                                    slots of the measurement are out of range");
        }
        Ok(JobOutput::Applied(Applied { adapter, accepted, nonce, measured }))
    }
}
