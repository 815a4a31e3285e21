//! check_key: verifying a key that another member names against the aggregate. Key and aggregate
//! together give the sum.

use std::io::BufReader;

use fedshield_he::{OpenedKey, decrypt};
use fedshield_protocol::job::{JobOutput, RoundStart};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::UpdateSet;

use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};

impl Pipeline {
    /// Opens the whole sum with `key`, every residual checked, and leaves it on disk as if this
    /// member had found the key. A wrong key fails at the first block.
    pub(super) fn check_key(
        &self,
        start: &RoundStart,
        set: &UpdateSet,
        aggregate: ObjectRef,
        key: ObjectRef,
    ) -> Result<JobOutput, PipelineError> {
        let round = start.round;
        let context = self.terms.context(round);
        let contributors = self.contributors(round, set)?;
        let members = set.iter().map(|(member, _)| *member);
        let shape = self.terms.sum_shape(members, start.applied, self.value_count(start)?);
        let bytes = self.objects.read(&key)?;
        let key = match OpenedKey::from_bytes(&context, &contributors, &bytes) {
            Ok(key) => key,
            Err(reason) => {
                tracing::warn!(%round, %reason, "a named key is not a key");
                return Ok(JobOutput::KeyChecked { sum: None });
            }
        };
        let reader = BufReader::new(self.objects.file(&aggregate)?);
        let mut values = Vec::new();
        let opened = timed(&*self.observer, round, Stage::Combine, || {
            decrypt(&context, &contributors, &key, shape, reader, |block| {
                values.extend_from_slice(block);
                Ok(())
            })
        });
        let sum = match opened {
            Ok(opened) => Some(self.keep_sum(round, values, &opened)?),
            Err(reason @ fedshield_he::Error::Residual { .. }) => {
                tracing::warn!(%round, %reason, "a named key does not open the sum");
                None
            }
            Err(other) => return Err(other.into()),
        };
        Ok(JobOutput::KeyChecked { sum })
    }
}
