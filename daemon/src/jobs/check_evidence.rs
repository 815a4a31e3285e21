//! Evidence from others: whether it proves what was announced.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::JobOutput;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::evidence::Evidence;

use super::{Pipeline, PipelineError};
use crate::evidence;

impl Pipeline {
    /// Whether announced evidence proves what was announced.
    pub(super) fn check_evidence(
        &self,
        (member, round): (MemberIndex, Round),
        object: &ObjectRef,
    ) -> Result<JobOutput, PipelineError> {
        let bytes = self.objects.read(object)?;
        let manifest = self.terms.valid_manifest()?;
        let checked = Evidence::decode(&bytes).map_err(|error| error.to_string()).and_then(|it| {
            if (it.member, it.round) != (member, round) {
                return Err("it is about something else than was announced".to_owned());
            }
            evidence::check(&it, &manifest).map_err(|error| crate::error_chain(&error))
        });
        Ok(JobOutput::Evidence(match checked {
            Ok(()) => Some(bytes),
            Err(reason) => {
                tracing::warn!(%round, %member, %reason, "what was announced as evidence proves nothing");
                None
            }
        }))
    }
}
