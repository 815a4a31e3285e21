//! This member's sealing key for one round, to which others seal their shares.

use fedshield_he::SealingKeyPair;
use fedshield_protocol::ids::Round;
use fedshield_protocol::job::JobOutput;

use super::{Pipeline, PipelineError};
use crate::randomness::os_random;
use crate::sealing_keys;

impl Pipeline {
    pub(super) fn make_sealing_key(&self, round: Round) -> Result<JobOutput, PipelineError> {
        // Generated once: after a restart the same key is published again.
        if let Some(pair) = sealing_keys::load(&self.secrets, round)? {
            return Ok(JobOutput::SealingKey(pair.public().to_bytes()));
        }
        let mut rng = os_random()?;
        let pair = SealingKeyPair::generate(&mut rng);
        sealing_keys::store(&self.secrets, round, &pair)?;
        Ok(JobOutput::SealingKey(pair.public().to_bytes()))
    }
}
