//! What one member computes, in the order of the path of one update. All plaintext lives here.
//!
//! ```text
//! contribute   train -> prune -> encode, encrypt -> share, seal     (at home)
//! shares       open the own boxes, test them, answer complaints    (transfer)
//! sum          add ciphertexts                                     (aggregate)
//! decrypt      add key shares, once                                (decrypt)
//! combine      put the key together, check it, open the sum        (combine)
//! apply        the same arithmetic at every member                 (apply)
//! settle       spend the own update, erase the round's secrets     (record)
//! ```
//!
//! `measure` and `evaluate` give people numbers; no round waits for them.
//!
//! Jobs of one round run beside each other (`host::jobs` has two workers): training takes no lock, so that shares are
//! checked meanwhile; what reads or replaces adapter and local memory holds `state` for that moment only.
//!
//! Every function reads what it needs from disk and leaves its result on disk before it returns, so that a
//! restarted member can run the same job again.

mod apply;
mod combine;
mod command;
mod contribute;
mod decrypt;
mod error;
mod evaluate;
mod learning;
mod measure;
mod observer;
mod round_folder;
mod settle;
mod shares;
mod state;
mod sum;
mod terms;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::object::ObjectRef;

pub use combine::OpenedSum;
pub use command::CommandSettings;
pub(crate) use command::answer_guard;
pub use error::PipelineError;
pub use evaluate::LossComparison;
/// Where a member computes.
pub use fedshield_train::ComputeDevice;
pub use learning::{Learning, LearningSources, OpenedModel};
pub use measure::HeldOutLoss;
pub use observer::{ContributionSizes, NoObserver, Observer, Stage, TrainingStep};
pub use terms::Terms;

use crate::host::Cancel;
use crate::identity::SecretStore;
use crate::objects::Objects;
use state::State;

/// One member's side of one federation.
pub struct Pipeline {
    terms: Terms,
    learning: Arc<Learning>,
    objects: Arc<Objects>,
    secrets: Arc<SecretStore>,
    folder: std::path::PathBuf,
    observer: Arc<dyn Observer>,
    /// Adapter and local memory; whoever prunes, applies or settles holds it.
    state: Mutex<State>,
}

impl Pipeline {
    /// Opens or creates the pipeline's folder for the federation of `terms`.
    ///
    /// # Errors
    /// If stored state cannot be read, or model and manifest do not fit.
    pub fn open(
        terms: Terms,
        learning: Arc<Learning>,
        objects: Arc<Objects>,
        secrets: Arc<SecretStore>,
        folder: std::path::PathBuf,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, PipelineError> {
        std::fs::create_dir_all(&folder).map_err(|e| PipelineError::file(&folder, e))?;
        let state = Mutex::new(State::open(&folder, &terms, &learning, &objects, &secrets)?);
        Ok(Self { terms, learning, objects, secrets, folder, observer, state })
    }

    /// Runs one job to its end.
    ///
    /// # Errors
    /// What went wrong, for the operator; nothing half done is left that a second run would stumble over.
    pub fn run(&self, job: &Job, cancel: &Cancel) -> Result<JobOutput, PipelineError> {
        match job {
            Job::MakeSealingKey { round } => self.make_sealing_key(*round),
            Job::Contribute { start, sealing_keys } => self.contribute(start, sealing_keys, cancel),
            Job::CheckShare { round, dealer } => self.check_share(*round, dealer),
            Job::RevealShare { round, member } => self.reveal_share(*round, *member),
            Job::CheckPreimage { round, dealer, member, preimage } => {
                self.check_preimage(*round, dealer, *member, preimage)
            }
            Job::Aggregate { start, set } => self.aggregate(start, set, cancel),
            Job::PartialDecrypt { round, set } => self.partial_decrypt(*round, set),
            Job::Combine { start, set, aggregate, partials } => {
                self.combine(start, set, *aggregate, partials)
            }
            Job::Apply { start, set, sum } => self.apply(start, set, sum),
            Job::Adopt { adapter, applied } => self.adopt(*adapter, *applied),
            Job::Settle { round, fate } => self.settle(*round, *fate),
        }
    }

    /// The adapters that this member works with, as objects: the newest and the one before it, none before the first
    /// applied round. Takes no lock.
    #[must_use]
    pub fn held(&self) -> Vec<ObjectRef> {
        State::held(&self.folder)
    }

    /// What the members agreed on.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The state, also after a job panicked while it held it: every job leaves whole states only, because it
    /// replaces them at its end.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
