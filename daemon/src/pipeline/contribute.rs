//! train, prune, encode, encrypt, share: one's own part of a round. Its boxes are sealed after it, see `shares`.

use fedshield_he::{Update, deal, encrypt};
use fedshield_protocol::hash::Use;
use fedshield_protocol::ids::{Digest, MemberIndex, Round};
use fedshield_protocol::job::{JobOutput, RoundStart};
use fedshield_train::federated::{GlobalAdapter, Mask, PruneRule, PrunedUpdate};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::learning::Task;
use super::observer::{ContributionSizes, Stage, timed};
use super::round_folder::{Sent, secret};
use super::shares::Dealing;
use super::state::State;
use super::{Pipeline, PipelineError};
use crate::host::Cancel;
use crate::randomness::os_random;

/// Name of the sealed result of training, kept until it is spent, so that a skipped round costs no training.
pub(super) const TRAINED: &str = "trained";

/// What local training gave, and from which adapter.
#[derive(Serialize, Deserialize)]
struct Trained {
    applied: u64,
    adapter: [u8; 32],
    theta: Vec<f32>,
}

impl Trained {
    /// What was kept. Earlier versions wrote the number of examples behind it.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::take_from_bytes::<Self>(bytes).ok().map(|(trained, _)| trained)
    }
}

/// The result of training as it goes on.
struct Learned {
    theta: Vec<f32>,
    /// `None` if an earlier training is sent again, or if a trainer command reported no steps.
    mean_loss: Option<f64>,
}

impl Pipeline {
    pub(super) fn contribute(
        &self,
        start: &RoundStart,
        cancel: &Cancel,
    ) -> Result<JobOutput, PipelineError> {
        let RoundStart { round, beacon, .. } = start;
        let round = *round;
        let global = self.global_at(start)?;
        let learned = self.train(round, &global, beacon, cancel)?;
        let update = timed(&*self.observer, round, Stage::Prune, || {
            self.prune(round, &global, &learned.theta, beacon)
        })?;
        if cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let dealing = self.encrypt(round, &global, &update)?;
        self.observer.contributed(
            round,
            ContributionSizes {
                values: update.values.len() as u64,
                ciphertext_bytes: dealing.ciphertext.length,
                train_loss: learned.mean_loss,
            },
        );
        Ok(JobOutput::Encrypted)
    }

    /// The common adapter that the round starts from.
    pub(super) fn global_at(&self, start: &RoundStart) -> Result<GlobalAdapter, PipelineError> {
        let state = self.state();
        let RoundStart { round, applied: wanted, .. } = *start;
        if state.global.t() == wanted {
            return Ok(state.global.clone());
        }
        self.earlier_adapter(&state, round, wanted)
    }

    /// The adapter of `wanted` applied rounds: this member has applied the round before a restart, and does it again.
    pub(super) fn earlier_adapter(
        &self,
        state: &State,
        round: Round,
        wanted: u64,
    ) -> Result<GlobalAdapter, PipelineError> {
        let here = state.global.t();
        let behind = PipelineError::Behind { round, wanted, here };
        // Of later rounds it has no business with this one any more.
        if here != wanted.saturating_add(1) {
            return Err(behind);
        }
        state.earlier(wanted, &self.terms, &self.learning, &self.objects)?.ok_or(behind)
    }

    /// The mask that every member uses in a round.
    pub(super) fn mask_of(&self, global: &GlobalAdapter, beacon: &Digest) -> Mask {
        global.mask(&self.terms.settings, Use::Mask.digest(&[beacon.as_bytes()]).0)
    }

    fn train(
        &self,
        round: Round,
        global: &GlobalAdapter,
        beacon: &Digest,
        cancel: &Cancel,
    ) -> Result<Learned, PipelineError> {
        let adapter = global.digest();
        if let Some(bytes) = self.secrets.get(TRAINED)?
            && let Some(trained) = Trained::from_bytes(&bytes)
            && (trained.applied, trained.adapter) == (global.t(), adapter)
        {
            return Ok(Learned { theta: trained.theta, mean_loss: None });
        }
        let data = self.data_of(round);
        let name = self.terms.me.0.to_le_bytes();
        // Another order of examples at every member and in every round.
        let seed = Use::Batches.digest(&[beacon.as_bytes(), &name]).0;
        let result = timed(&*self.observer, round, Stage::Train, || {
            let on_step = |step| self.observer.step(round, Stage::Train, step);
            let task = Task { purpose: "round", global, settings: &self.terms.settings, seed };
            self.learning.train(&task, &data, cancel, &on_step)
        })?;
        let losses = &result.stats.losses;
        // A trainer command may report no steps.
        let mean = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64);
        let trained = Trained { applied: global.t(), adapter, theta: result.theta };
        self.keep_sealed(TRAINED, &trained)?;
        Ok(Learned { theta: trained.theta, mean_loss: mean })
    }

    fn prune(
        &self,
        round: Round,
        global: &GlobalAdapter,
        theta: &[f32],
        beacon: &Digest,
    ) -> Result<PrunedUpdate, PipelineError> {
        let mask = self.mask_of(global, beacon);
        let clip = self.terms.settings.clip(global.t());
        let mut state = self.state();
        // A round that moved on while this member trained.
        if state.global.t() != global.t() {
            let here = state.global.t();
            return Err(PipelineError::Behind { round, wanted: global.t(), here });
        }
        let schedule = &self.terms.settings.prune;
        let update = match schedule.rule {
            PruneRule::Shared => state.memory.prune(global, theta, mask, clip)?,
            PruneRule::Local => {
                let rate = schedule.rate(global.t());
                state.memory.prune_locally(global, theta, rate, clip)?
            }
        };
        state.save_memory(&self.secrets)?;
        let sent = Sent {
            applied: global.t(),
            values: update.values.clone(),
            indices: update.mask.indices().to_vec(),
            dense_len: update.mask.dense_len() as u64,
        };
        self.keep_in_round(round, secret::SENT, &sent)?;
        Ok(update)
    }

    fn encrypt(
        &self,
        round: Round,
        global: &GlobalAdapter,
        update: &PrunedUpdate,
    ) -> Result<Dealing, PipelineError> {
        let context = self.terms.context(round);
        let sender = self.terms.me.share_index();
        let mut rng = os_random().map_err(PipelineError::Randomness)?;
        let mut nonce = Zeroizing::new([0u8; 32]);
        rand::Rng::fill_bytes(&mut rng, nonce.as_mut_slice());
        let plain = Update {
            values: &update.values,
            scale: self.terms.scale_of(self.terms.me, global.t()),
            nonce: &nonce,
        };
        let mut writer = self.objects.create()?;
        let (key, _) = timed(&*self.observer, round, Stage::Encrypt, || {
            encrypt(&context, sender, &plain, &mut rng, &mut writer)
        })?;
        let ciphertext = writer.finish()?;
        let sharing = self.terms.sharing();
        let dealt = deal(&context, sender, sharing, &key, &ciphertext.root.0, &mut rng)?;
        drop(key);
        for (member, preimage) in (0u16..).map(MemberIndex).zip(&dealt.preimages) {
            let bytes = preimage.to_bytes(&context);
            self.secrets.put_in_round(round, &secret::dealt(member), &bytes)?;
        }
        let dealing = Dealing {
            ciphertext,
            shares: dealt.commitment.to_bytes(&context),
            layout: self.layout_digest(global, update.mask.digest()),
        };
        self.keep_in_round(round, secret::DEALING, &dealing)?;
        Ok(dealing)
    }

    pub(super) fn layout_digest(&self, global: &GlobalAdapter, mask: [u8; 32]) -> Digest {
        Use::Layout.digest(&[&global.layout().digest(), &mask])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let trained = Trained { applied: 3, adapter: [7; 32], theta: vec![1.0, 2.0] };
        let read = |bytes: &[u8]| Trained::from_bytes(bytes).map(|trained| trained.theta);
        let new = postcard::to_allocvec(&trained).unwrap();
        assert_eq!(read(&new), Some(vec![1.0, 2.0]));
        let old = postcard::to_allocvec(&(&trained, 400u64)).unwrap();
        assert_eq!(read(&old), Some(vec![1.0, 2.0]));
        assert_eq!(read(&new[..new.len() - 1]), None);
    }
}
