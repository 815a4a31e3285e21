//! What one member computes, in the order of the path of one update. All plaintext lives here.
//!
//! ```text
//! prepare            the shape of every update of the round                    (begin)
//! sealing_key        the key that others seal their shares to                  (begin)
//! contribute         joint, train -> prune -> encrypt -> share, in this order  (at home)
//! share              seal each share, again if asked, open one for a complaint (commit, transfer)
//! check_share        this member's share, sealed or opened for all             (transfer)
//! check_ciphertext   others' ciphertexts, before they count                    (transfer)
//! aggregate          add ciphertexts                                           (aggregate)
//! decrypt            add key shares, once                                      (decrypt)
//! combine            combine partial decryptions, check the key, open the sum  (combine)
//! check_key          open the sum with a key that another member found         (combine)
//! apply              the same arithmetic at every member                       (apply)
//! settle             spend its own update, erase the round's secrets           (record)
//! adopt              take over the adapter that others recorded                (sync)
//! erase_secrets      no round follows soon                                     (pause, end)
//! check_evidence, prove_answers   proof of misbehaviour                        (at any time)
//! ```
//!
//! One file for each job and for each step of the path; no job runs another one. Inputs that
//! several share are in `round_inputs` and `own_share`, what they leave on disk in `durable_state`.
//! `measure`, `evaluate` and `export` are for operators; no round waits for them.
//!
//! Jobs of one round run beside each other (`host::jobs` has two workers): training takes no lock,
//! so that shares are checked meanwhile; what reads or replaces adapter and local memory holds
//! `state` for that moment only.
//!
//! Every function reads what it needs from disk and leaves its result on disk before it returns, so
//! that a restarted member can run the same job again.

mod adopt;
mod aggregate;
mod apply;
mod check_ciphertext;
mod check_evidence;
mod check_key;
mod check_share;
mod ciphertext_reader;
mod combine;
mod contribute;
mod decrypt;
mod durable_state;
mod encrypt;
mod erase_secrets;
mod error;
mod evaluate;
mod export;
mod joint;
mod measure;
mod observer;
mod own_share;
mod prepare;
mod prove_answers;
mod prune;
mod round_inputs;
mod sealing_key;
mod settle;
mod share;
mod train;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::object::ObjectRef;

pub(crate) use durable_state::OPTIMIZER_CONDITION;
pub use durable_state::StoredSum;
pub use error::PipelineError;
pub(crate) use evaluate::rounds_of_training_alone;
pub use evaluate::{AdapterKind, Question};
pub(crate) use export::README_FILE;
pub use measure::HeldOutLoss;
pub use observer::{ContributionSizes, Observer, ParsedPartial, Stage, TrainingStep};

use tokio_util::sync::CancellationToken;

use crate::durable;
use crate::identity::SecretStore;
use crate::learning::{DataLook, Examples, Learning, Look};
use crate::objects::Objects;
use crate::terms::MemberTerms;
use durable_state::State;

/// The examples that a round began with.
type RoundData = Option<(Round, Arc<Examples>)>;

/// One member's side of one federation.
pub struct Pipeline {
    terms: MemberTerms,
    learning: Arc<Learning>,
    objects: Arc<Objects>,
    secrets: Arc<SecretStore>,
    folder: std::path::PathBuf,
    observer: Arc<dyn Observer>,
    /// Adapter and local memory; locked while a job prunes, applies or settles.
    state: Arc<Mutex<State>>,
    /// The examples that the round in progress began with; a second run of its training gets the
    /// same.
    round_data: Arc<Mutex<RoundData>>,
    /// Applied rounds after which nothing is trained any more.
    end: Arc<AtomicU64>,
}

impl Pipeline {
    /// Opens or creates the pipeline's folder for the federation of `terms`.
    ///
    /// # Errors
    /// If stored state cannot be read, or model and manifest do not match.
    pub fn open(
        terms: MemberTerms,
        learning: Arc<Learning>,
        objects: Arc<Objects>,
        secrets: Arc<SecretStore>,
        folder: std::path::PathBuf,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, PipelineError> {
        durable::make_folder(&folder)?;
        let state = State::open(&folder, &terms, &learning, &objects, &secrets)?;
        let (state, round_data) = (Arc::new(Mutex::new(state)), Arc::default());
        let end = Arc::new(AtomicU64::new(terms.manifest.rounds));
        Ok(Self { terms, learning, objects, secrets, folder, observer, state, round_data, end })
    }

    /// Runs one job to completion.
    ///
    /// # Errors
    /// The cause, for the operator; no partial result is left that would make a second run fail.
    pub fn run(&self, job: &Job, cancel: &CancellationToken) -> Result<JobOutput, PipelineError> {
        match job.start().and_then(|start| self.terms.falling(start).transpose()) {
            Some(terms) => self.under(terms?).run_one(job, cancel),
            None => self.run_one(job, cancel),
        }
    }

    /// The training ends after so many applied rounds: those of the terms, or fewer.
    pub(crate) fn ends_after(&self, applied: u64) {
        self.end.store(applied, Ordering::Relaxed);
    }

    /// The same member with other terms: those of a round after the training was ended early.
    fn under(&self, terms: MemberTerms) -> Self {
        Self {
            terms,
            learning: Arc::clone(&self.learning),
            objects: Arc::clone(&self.objects),
            secrets: Arc::clone(&self.secrets),
            folder: self.folder.clone(),
            observer: Arc::clone(&self.observer),
            state: Arc::clone(&self.state),
            round_data: Arc::clone(&self.round_data),
            end: Arc::clone(&self.end),
        }
    }

    fn run_one(&self, job: &Job, cancel: &CancellationToken) -> Result<JobOutput, PipelineError> {
        match job {
            Job::MakeSealingKey { round } => self.make_sealing_key(*round),
            Job::Contribute { start } => self.contribute(start, cancel),
            Job::SealShares { round, sealing_keys } => self.seal_shares(*round, sealing_keys),
            Job::CheckShare { round, update } => self.check_share(*round, update),
            Job::ResealShare { round, member, sealing_key } => {
                self.reseal_share(*round, *member, sealing_key)
            }
            Job::CheckResealedShare { round, update, sealed } => {
                self.check_resealed_share(*round, update, sealed)
            }
            Job::OpenShare { round, member } => self.open_share_for_all(*round, *member),
            Job::CheckShareOpening { round, update, member, opening } => {
                self.check_share_opening(*round, update, *member, opening)
            }
            Job::Aggregate { start, set } => self.aggregate(start, set, cancel),
            Job::PartialDecrypt { round, set } => self.partial_decrypt(*round, set),
            Job::Combine { start, set, aggregate, partials } => {
                self.combine(start, set, *aggregate, partials)
            }
            Job::CheckKey { start, set, aggregate, key } => {
                self.check_key(start, set, *aggregate, *key)
            }
            Job::Apply { start, set, sum } => self.apply(start, set, sum),
            Job::Adopt { adapter, applied } => self.adopt(*adapter, *applied),
            Job::Settle { round, fate } => self.settle(*round, *fate),
            Job::PrepareRound { start } => self.prepare_round(start),
            Job::CheckCiphertext { start, update } => self.check_ciphertext(start, update, cancel),
            Job::CheckEvidence { member, round, object } => {
                self.check_evidence((*member, *round), object)
            }
            Job::ProveAnswers { round, set, outcome, answers, culprits } => {
                let round = *round;
                self.prove_answers(&prove_answers::OpenedAnswers {
                    round,
                    set,
                    outcome,
                    answers,
                    culprits,
                })
            }
            Job::EraseSecrets { is_done } => self.erase_secrets(*is_done),
        }
    }

    /// Checks the data files and reads them again if they have changed: the next round uses the new
    /// content, a round in progress keeps its examples. Records that cannot be used are left out
    /// and reported to the observer. May take as long as reading the files does.
    pub fn look_at_data(&self, when: Look) -> DataLook {
        let look = self.learning.look_at_data(when);
        self.observer.looked_at_data(&look);
        self.observer.left_out(self.learning.examples().skipped());
        look
    }

    /// The examples for the training of `round`.
    fn data_of(&self, round: Round) -> Arc<Examples> {
        let mut kept = self.round_data.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, examples)) = &*kept
            && *of == round
        {
            return Arc::clone(examples);
        }
        self.look_at_data(Look::WhenQuiet);
        let examples = self.learning.examples();
        *kept = Some((round, Arc::clone(&examples)));
        examples
    }

    /// Drops the examples of a round that is over.
    fn forget_data_of(&self, round: Round) {
        let mut kept = self.round_data.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|(of, _)| *of <= round) {
            *kept = None;
        }
    }

    /// The adapters that this member works with, as objects: the newest and the one before it, none
    /// before the first applied round. Takes no lock.
    #[must_use]
    pub fn held(&self) -> Vec<ObjectRef> {
        State::held(&self.folder)
    }

    /// The terms of the federation.
    #[must_use]
    pub fn terms(&self) -> &MemberTerms {
        &self.terms
    }

    /// The state, also after a job panicked while it held it: the state is always complete, because
    /// every job replaces it only at its end.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
