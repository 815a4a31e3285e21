//! aggregate: adding the ciphertexts of the decided set.

use std::io::{BufRead, BufReader, Read};

use fedshield_he::{ContributorSet, aggregate};
use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Included, JobOutput, RoundStart};
use fedshield_protocol::wire::Set;

use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::host::Cancel;

/// Bytes read ahead from each ciphertext.
pub(super) const READ_AHEAD_BYTES: usize = 256 * 1024;

impl Pipeline {
    pub(super) fn aggregate(
        &self,
        start: &RoundStart,
        set: &[Included],
        cancel: &Cancel,
    ) -> Result<JobOutput, PipelineError> {
        let round = start.round;
        let context = self.terms.context(round);
        let contributors = self.contributors(round, &set_of(set))?;
        let value_count = self.value_count(start)?;
        let mut inputs = Vec::with_capacity(set.len());
        for update in set {
            let file = self.objects.file(&update.body.ciphertext)?;
            let reader =
                Cancellable { reader: BufReader::with_capacity(READ_AHEAD_BYTES, file), cancel };
            inputs.push((update.member.share_index(), reader));
        }
        let mut writer = self.objects.create()?;
        timed(&*self.observer, round, Stage::Aggregate, || {
            aggregate(&context, &contributors, value_count, inputs, &mut writer)
        })?;
        Ok(JobOutput::Aggregated(writer.finish()?))
    }

    /// The set U as the encryption knows it: by the same digests by which it was decided.
    pub(super) fn contributors(
        &self,
        round: Round,
        set: &Set,
    ) -> Result<ContributorSet, PipelineError> {
        let context = self.terms.context(round);
        let entries = set.iter().map(|(member, commitment)| (member.share_index(), commitment.0));
        Ok(ContributorSet::new(&context, self.terms.rules.min_contributors, entries)?)
    }

    /// How many values each update of the round has.
    pub(super) fn value_count(&self, start: &RoundStart) -> Result<u64, PipelineError> {
        let global = self.global_at(start)?;
        Ok(self.mask_of(&global, &start.beacon).len() as u64)
    }
}

/// U without what its commitments say.
pub(super) fn set_of(set: &[Included]) -> Set {
    set.iter().map(|update| (update.member, update.commitment)).collect()
}

/// A reader that stops when the job is cancelled.
pub(super) struct Cancellable<'a, R> {
    pub(super) reader: R,
    pub(super) cancel: &'a Cancel,
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        self.reader.read(buffer)
    }
}

impl<R: BufRead> BufRead for Cancellable<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}
