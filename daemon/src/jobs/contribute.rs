//! This member's own part of a round: train, prune, encrypt and share, in this order. Its shares
//! are sealed afterwards, see `share`. Where members measure together it first measures the adapter
//! that the round starts from (`joint`); the round after the last one measures and trains nothing.

use fedshield_protocol::job::{JobOutput, RoundStart};
use fedshield_train::federated::PrunedUpdate;
use tokio_util::sync::CancellationToken;

use super::observer::{ContributionSizes, Stage, timed};
use super::{Pipeline, PipelineError};

impl Pipeline {
    pub(super) fn contribute(
        &self,
        start: &RoundStart,
        cancel: &CancellationToken,
    ) -> Result<JobOutput, PipelineError> {
        let RoundStart { round, beacon, .. } = start;
        let round = *round;
        let global = self.global_at(start)?;
        let (number, stalled) = self.joint_number(start, &global, cancel)?;
        // The round that measures the final adapter has no update.
        let (update, train_loss) = if self.terms.is_trained(global.applied()) {
            (None, None)
        } else {
            let learned = self.train(round, &global, beacon, cancel)?;
            let update = timed(&*self.observer, round, Stage::Prune, || {
                self.prune(round, &global, &learned.theta, beacon)
            })?;
            (Some(update), learned.mean_loss)
        };
        let mask = self.mask_of(&global, beacon).digest();
        let values = update.as_ref().map(PrunedUpdate::encoded).unwrap_or_default();
        if cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let encrypted = self.encrypt(round, &global, &values, number)?;
        let layout = self.layout_digest(&global, mask, stalled);
        let ciphertext = encrypted.ciphertext;
        self.share(round, encrypted, layout)?;
        self.observer.contributed(
            round,
            ContributionSizes {
                values: values.len() as u64,
                ciphertext_bytes: ciphertext.length,
                train_loss,
            },
        );
        Ok(JobOutput::Encrypted)
    }
}
