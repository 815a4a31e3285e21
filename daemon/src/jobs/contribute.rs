//! This member's own part of a round: train, prune, encrypt and share, in this order. Its shares
//! are sealed afterwards, see `share`.

use fedshield_protocol::job::{JobOutput, RoundStart};
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
        let learned = self.train(round, &global, beacon, cancel)?;
        let update = timed(&*self.observer, round, Stage::Prune, || {
            self.prune(round, &global, &learned.theta, beacon)
        })?;
        if cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let encrypted = self.encrypt(round, &global, &update)?;
        let layout = self.layout_digest(&global, update.mask.digest());
        let ciphertext = encrypted.ciphertext;
        self.share(round, encrypted, layout)?;
        self.observer.contributed(
            round,
            ContributionSizes {
                values: update.sent.len() as u64,
                ciphertext_bytes: ciphertext.length,
                train_loss: learned.mean_loss,
            },
        );
        Ok(JobOutput::Encrypted)
    }
}
