//! The start of a round: the shape of every update, before any is fetched.

use fedshield_he::sealed_len;
use fedshield_protocol::job::{JobOutput, RoundStart, UpdateShape};

use super::{Pipeline, PipelineError};

impl Pipeline {
    /// Layout and lengths, the same at every member: derived from mask, preset, manifest and the
    /// adapter that the round starts from.
    pub(super) fn prepare_round(&self, start: &RoundStart) -> Result<JobOutput, PipelineError> {
        let global = self.global_at(start)?;
        let mask = self.mask_of(&global, &start.beacon);
        let context = self.terms.context(start.round);
        let can_stop = self.terms.manifest.stop.is_some()
            && start.stopped.is_none()
            && !self.terms.is_trained(start.applied);
        Ok(JobOutput::Prepared(UpdateShape {
            layout: self.layout_digest(&global, mask.digest(), false),
            stalled: can_stop.then(|| self.layout_digest(&global, mask.digest(), true)),
            ciphertext_bytes: context.ciphertext_len(mask.len() as u64)?,
            sealed_share_bytes: sealed_len(&context) as u64,
        }))
    }
}
