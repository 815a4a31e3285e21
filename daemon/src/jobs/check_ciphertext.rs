//! transfer: the committee reads an update before it counts on it.

use std::io::BufReader;

use fedshield_protocol::job::{Included, JobOutput, RoundStart};

use super::ciphertext_reader::{Cancellable, READ_AHEAD_BYTES};
use super::{Pipeline, PipelineError};
use crate::encryption::share_index;
use crate::host::Cancel;

impl Pipeline {
    /// Whether the update of `dealer` can be added: its ciphertext is one of this round, by its author, of as many values as
    /// the round has, every word in range; and the published part of its sharing reads, and is bound to it.
    ///
    /// # Errors
    /// Whatever is this member's own fault: an adapter or object that is not here, or bytes that its disk has changed.
    pub(super) fn check_ciphertext(
        &self,
        start: &RoundStart,
        dealer: &Included,
        cancel: &Cancel,
    ) -> Result<JobOutput, PipelineError> {
        match self.read_update(start, dealer, cancel) {
            Ok(()) => Ok(JobOutput::Checked { valid: true }),
            Err(PipelineError::Encryption(reason @ fedshield_he::Error::Remote { .. })) => {
                // An accusation: the bytes that were read must be those that the author committed to.
                self.objects.check(&dealer.body.ciphertext)?;
                let round = start.round;
                tracing::warn!(%round, author = %dealer.member, %reason, "an update cannot be read");
                Ok(JobOutput::Checked { valid: false })
            }
            Err(other) => Err(other),
        }
    }

    fn read_update(
        &self,
        start: &RoundStart,
        dealer: &Included,
        cancel: &Cancel,
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
