//! aggregate: adding the ciphertexts of the decided set.

use std::io::BufReader;

use fedshield_he::aggregate;
use fedshield_protocol::job::{Included, JobOutput, RoundStart};

use super::ciphertext_reader::{Cancellable, READ_AHEAD_BYTES};
use super::observer::{Stage, timed};
use super::round_inputs::set_of;
use super::{Pipeline, PipelineError};
use crate::encryption::share_index;
use crate::host::Cancel;

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
            inputs.push((share_index(update.member), reader));
        }
        let mut writer = self.objects.create()?;
        timed(&*self.observer, round, Stage::Aggregate, || {
            aggregate(&context, &contributors, value_count, inputs, &mut writer)
        })?;
        Ok(JobOutput::Aggregated(writer.finish()?))
    }
}
