//! Adopting the common adapter that others have recorded: a member that was absent continues from
//! it.

use fedshield_protocol::job::JobOutput;
use fedshield_protocol::object::ObjectRef;
use fedshield_train::TrainError;
use fedshield_train::federated::GlobalAdapter;

use super::{Pipeline, PipelineError};

impl Pipeline {
    /// Takes over an adapter that a quorum recorded.
    pub(super) fn adopt(
        &self,
        adapter: ObjectRef,
        applied: u64,
    ) -> Result<JobOutput, PipelineError> {
        let global = GlobalAdapter::from_bytes(&self.objects.read(&adapter)?)?;
        global.check_settings(&self.terms.settings)?;
        let mut state = self.state();
        if global.layout() != state.global.layout() || global.applied() != applied {
            let reason = "the recorded adapter was made for another model or round";
            return Err(TrainError::Adapter(reason.to_owned()).into());
        }
        state.set_global(global, &adapter)?;
        Ok(JobOutput::Adopted)
    }
}
