//! train: the factors of the common adapter after local training. The result stays on disk until an
//! update made from it is spent, so that a skipped round costs no training.

use fedshield_protocol::hash::Use;
use fedshield_protocol::ids::{Beacon, Round};
use fedshield_train::RoundTask;
use fedshield_train::federated::GlobalAdapter;
use tokio_util::sync::CancellationToken;

use super::durable_state::{Trained, name};
use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};

/// The result of training, for the next step.
pub(super) struct Learned {
    /// The trained factors, one value for each parameter.
    pub(super) theta: Vec<f32>,
    /// Nats per labelled token, the mean over the steps. `None` if an earlier training is sent
    /// again, or if a trainer command reported no steps.
    pub(super) mean_loss: Option<f64>,
}

impl Pipeline {
    pub(super) fn train(
        &self,
        round: Round,
        global: &GlobalAdapter,
        beacon: &Beacon,
        cancel: &CancellationToken,
    ) -> Result<Learned, PipelineError> {
        let adapter = global.digest();
        if let Some(bytes) = self.secrets.get(name::TRAINED)?
            && let Some(trained) = Trained::from_bytes(&bytes)
            && (trained.applied, trained.adapter) == (global.applied(), adapter)
        {
            return Ok(Learned { theta: trained.theta, mean_loss: None });
        }
        let data = self.data_of(round);
        let optimizer = self.optimizer_before(global)?;
        let me = self.terms.me.0.to_le_bytes();
        // A different order of examples at every member and in every round.
        let seed = Use::Batches.digest(&[beacon.as_bytes(), &me]).0;
        let result = timed(&*self.observer, round, Stage::Train, || {
            let on_step = |step| self.observer.step(round, Stage::Train, step);
            let (settings, state) = (&self.terms.settings, &optimizer.state);
            let task = RoundTask { global, settings, optimizer: state, seed };
            self.learning.train(&task, &data, cancel, &on_step)
        })?;
        let losses = &result.stats.losses;
        // A trainer command may report no steps.
        let mean = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64);
        // Before the result: a crash in between makes the same training start from the same state.
        self.keep_optimizer(global, &optimizer, &result.optimizer)?;
        let trained = Trained { applied: global.applied(), adapter, theta: result.theta };
        self.keep(name::TRAINED, &trained)?;
        Ok(Learned { theta: trained.theta, mean_loss: mean })
    }
}
