//! Erasing the secrets of all rounds: the federation is done, or this member is paused for long.

use fedshield_protocol::job::JobOutput;

use super::durable_state::name;
use super::{Pipeline, PipelineError};

impl Pipeline {
    /// Erases the secrets of all rounds, which no later round needs; the stored training result,
    /// the optimiser's state and this member's measured losses are kept while there are rounds to
    /// come.
    pub(super) fn erase_secrets(&self, is_done: bool) -> Result<JobOutput, PipelineError> {
        self.secrets.erase_all_rounds()?;
        if is_done {
            self.secrets.erase(name::TRAINED)?;
            self.secrets.erase(name::JOINT_LOSSES)?;
            self.erase_optimizer()?;
        }
        Ok(JobOutput::Erased)
    }
}
