//! check_ciphertext: the committee validates an update before it relies on it.

use std::io::BufReader;

use fedshield_protocol::job::{Included, JobOutput, RoundStart};
use tokio_util::sync::CancellationToken;

use super::ciphertext_reader::{Cancellable, READ_AHEAD_BYTES};
use super::{Pipeline, PipelineError};
use crate::encryption::share_index;

impl Pipeline {
    /// Whether the update of `dealer` can be added: its ciphertext is of this round, by its
    /// contributor, has as many values as the round, and every word is in range; and the published
    /// part of its sharing can be parsed and is bound to it.
    ///
    /// # Errors
    /// Faults of this member: an adapter or object that is missing here, or bytes damaged on its
    /// disk.
    pub(super) fn check_ciphertext(
        &self,
        start: &RoundStart,
        dealer: &Included,
        cancel: &CancellationToken,
    ) -> Result<JobOutput, PipelineError> {
        match self.read_update(start, dealer, cancel) {
            Ok(()) => Ok(JobOutput::Checked { valid: true }),
            Err(PipelineError::Encryption(reason @ fedshield_he::Error::Remote { .. })) => {
                // A rejection is an accusation: the bytes that were read must be those that the
                // contributor committed to.
                self.objects.check(&dealer.body.ciphertext)?;
                let round = start.round;
                tracing::warn!(%round, contributor = %dealer.member, %reason, "an update cannot be read");
                Ok(JobOutput::Checked { valid: false })
            }
            Err(other) => Err(other),
        }
    }

    fn read_update(
        &self,
        start: &RoundStart,
        dealer: &Included,
        cancel: &CancellationToken,
    ) -> Result<(), PipelineError> {
        let value_count = self.value_count(start)?;
        self.commitment_of(start.round, dealer)?;
        let file = self.objects.file(&dealer.body.ciphertext)?;
        let reader =
            Cancellable { reader: BufReader::with_capacity(READ_AHEAD_BYTES, file), cancel };
        let context = self.terms.context(start.round);
        let contributor = share_index(dealer.member);
        Ok(fedshield_he::check_ciphertext(&context, contributor, value_count, reader)?)
    }
}
