//! settle: accounting for this member's own update after a round, and erasing the round's secrets.

use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Fate, JobOutput};
use fedshield_train::federated::Mask;

use super::durable_state::{Sent, name};
use super::{Pipeline, PipelineError};

impl Pipeline {
    pub(super) fn settle(
        &self,
        round: Round,
        fate: Option<Fate>,
    ) -> Result<JobOutput, PipelineError> {
        if let Some(sent) = self.kept_in_round::<Sent>(round, name::SENT)? {
            self.settle_update(&sent, fate)?;
        }
        // In this order: `sent` is erased with all secrets of the round, so that after a crash
        // settling is repeated and not skipped.
        self.remove_round_folder(round)?;
        self.forget_data_of(round);
        self.secrets.erase_rounds_up_to(round)?;
        Ok(JobOutput::Settled)
    }

    fn settle_update(&self, sent: &Sent, fate: Option<Fate>) -> Result<(), PipelineError> {
        let mut state = self.state();
        // Settled before a crash: nothing is pending any more.
        if state.memory.pending_round() != Some(sent.applied) {
            return Ok(());
        }
        match fate {
            Some(Fate::Spent) => {
                let dense_len = usize::try_from(sent.dense_len).unwrap_or(usize::MAX);
                let mask = Mask::from_indices(sent.indices.clone(), dense_len)?;
                state.memory.spend(sent.applied, &mask, &sent.values)?;
                self.secrets.erase(name::TRAINED)?;
            }
            Some(Fate::Kept) | None => {
                // Applied without this member: its progress joins the next update of the same
                // factors. Not applied: the same training result is encrypted afresh in the next
                // round.
                let applied_without_us = state.global.applied() > sent.applied;
                state.memory.skip();
                if applied_without_us {
                    self.secrets.erase(name::TRAINED)?;
                }
            }
        }
        state.save_memory(&self.secrets)
    }
}
