//! decrypt: this member's partial decryption, made once per round.

use fedshield_he::partial_decrypt;
use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Included, JobOutput};

use super::durable_state::{Released, name};
use super::observer::{Stage, timed};
use super::round_inputs::set_of;
use super::{Pipeline, PipelineError};

impl Pipeline {
    pub(super) fn partial_decrypt(
        &self,
        round: Round,
        set: &[Included],
    ) -> Result<JobOutput, PipelineError> {
        let context = self.terms.context(round);
        let contributors = self.contributors(round, &set_of(set))?;
        if let Some(released) = self.kept_in_round::<Released>(round, name::RELEASED)? {
            // The stored answer is sent again; it is never computed again, and never for another
            // set.
            return if released.set == *contributors.id().as_bytes() {
                Ok(JobOutput::Partial(released.object))
            } else {
                Err(PipelineError::AlreadyReleased { round })
            };
        }
        let partial = timed(&*self.observer, round, Stage::Decrypt, || {
            let shares = set
                .iter()
                .map(|update| self.open_own_share(round, update))
                .collect::<Result<Vec<_>, _>>()?;
            let me = self.terms.my_share_index();
            Ok::<_, PipelineError>(partial_decrypt(&context, &contributors, me, &shares)?)
        })?;
        let object = self.objects.put(&partial.to_bytes(&context))?;
        let released = Released { set: *contributors.id().as_bytes(), object };
        self.keep_in_round(round, name::RELEASED, &released)?;
        Ok(JobOutput::Partial(object))
    }
}
