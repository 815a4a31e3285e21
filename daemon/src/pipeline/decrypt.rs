//! decrypt: this member's partial decryption, made once per round.

use fedshield_he::partial_decrypt;
use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Included, JobOutput};
use fedshield_protocol::object::ObjectRef;
use serde::{Deserialize, Serialize};

use super::observer::{Stage, timed};
use super::round_folder::secret;
use super::sum::set_of;
use super::{Pipeline, PipelineError};

/// For which set this member answered, and with what. Written before the answer leaves the pipeline.
#[derive(Serialize, Deserialize)]
struct Released {
    set: [u8; 32],
    object: ObjectRef,
}

impl Pipeline {
    pub(super) fn partial_decrypt(
        &self,
        round: Round,
        set: &[Included],
    ) -> Result<JobOutput, PipelineError> {
        let context = self.terms.context(round);
        let contributors = self.contributors(round, &set_of(set))?;
        if let Some(released) = self.kept_in_round::<Released>(round, secret::RELEASED)? {
            // The released bytes are sent again, never made again, and never for another set.
            return if released.set == *contributors.id() {
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
            let me = self.terms.me.share_index();
            Ok::<_, PipelineError>(partial_decrypt(&context, &contributors, me, &shares)?)
        })?;
        let object = self.objects.put(&partial.to_bytes(&context))?;
        let released = Released { set: *contributors.id(), object };
        self.keep_in_round(round, secret::RELEASED, &released)?;
        Ok(JobOutput::Partial(object))
    }
}
