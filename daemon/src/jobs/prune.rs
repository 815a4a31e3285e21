//! prune: the clipped values under the round's mask; what is not sent stays in the local memory.

use fedshield_protocol::ids::{Beacon, Round};
use fedshield_train::federated::{GlobalAdapter, PruneRule, PrunedUpdate};

use super::durable_state::{Sent, name};
use super::{Pipeline, PipelineError};

impl Pipeline {
    pub(super) fn prune(
        &self,
        round: Round,
        global: &GlobalAdapter,
        theta: &[f32],
        beacon: &Beacon,
    ) -> Result<PrunedUpdate, PipelineError> {
        let mask = self.mask_of(global, beacon);
        let settings = &self.terms.settings;
        let mut state = self.state();
        // The round has moved on while this member trained.
        if state.global.applied() != global.applied() {
            let here = state.global.applied();
            return Err(PipelineError::Behind { round, wanted: global.applied(), here });
        }
        let update = match settings.prune.rule {
            PruneRule::Shared => state.memory.prune(global, theta, mask, settings)?,
            PruneRule::Local => state.memory.prune_locally(global, theta, settings)?,
        };
        state.save_memory(&self.secrets)?;
        let sent = Sent {
            applied: global.applied(),
            values: update.sent.clone(),
            indices: update.mask.indices().to_vec(),
            dense_len: update.mask.dense_len() as u64,
        };
        self.keep_in_round(round, name::SENT, &sent)?;
        Ok(update)
    }
}
