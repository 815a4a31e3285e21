//! The operator's comparison, on data that nothing was chosen by: the base model, the best adapter
//! that this member can make alone, the federation's, and the best that this member ends up with.
//!
//! Everything is chosen by the validation part: learning rates and numbers of steps (`home`), and
//! which adapter is the best (`choice`). Nothing of it is sent.

mod answers;
mod bench;
mod choice;
mod home;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use fedshield_protocol::ids::Round;
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{ExampleLoss, PairedDifference, mean_loss};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::durable_state::name;
use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::control::api::{Comparison, Evaluation, OnSample};
use crate::learning::Examples;
use bench::Bench;
use choice::{Candidate, best_of};
pub(crate) use home::rounds_of_training_alone;
use home::{HomeSearch, Homemade, Work};

/// What is to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whether an adapter is made alone, which costs as much training as all rounds.
    pub with_alone: bool,
    /// Files to report on; without any, the test part of this member's data.
    pub files: Vec<PathBuf>,
    /// Whether short answers are compared with those of the data.
    pub answers: bool,
    /// How many questions are answered as samples.
    pub samples: usize,
}

/// An adapter that a member can end up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// The federation's.
    Common,
    /// Trained on at home from the common one.
    Personal,
    /// Trained on this member's examples by itself.
    Alone,
}

/// The choice, as sealed on disk.
#[derive(Serialize, Deserialize)]
struct KeptChoice {
    /// Digest of the common adapter at that time.
    common: [u8; 32],
    comparison: Comparison,
}

impl Pipeline {
    /// Makes what this member can make at home, chooses the best, and measures. What was made
    /// before from the same inputs is not made again.
    ///
    /// # Errors
    /// If there is no held-out data, a file cannot be read, a loss is not finite, or training
    /// fails.
    pub fn evaluate(
        &self,
        question: &Question,
        cancel: &CancellationToken,
    ) -> Result<Evaluation, PipelineError> {
        let data = self.learning.examples();
        if data.set.held_out.is_empty() {
            return Err(PipelineError::NoHeldOut);
        }
        let files = self.learning.read_apart(&question.files)?;
        let common = self.state().global.clone();
        let round = Round(common.applied());
        timed(&*self.observer, round, Stage::Evaluate, || {
            let (personal, alone) = self.at_home(&common, question.with_alone, &data, cancel)?;
            let (reported, measured_on) = data.reported(files.as_ref());
            let bench = Bench {
                pipeline: self,
                question,
                validation: &data.set.held_out,
                sample: &data.sample,
                reported,
                measured_on,
                cancel,
            };
            let (evaluation, on_sample) = self.compare(&common, personal, alone, &bench)?;
            // What was found on a file says nothing of the member's own test data.
            if files.is_none() {
                let comparison = Comparison::of(&evaluation, common.applied(), on_sample);
                self.keep(name::BEST, &KeptChoice { common: common.digest(), comparison })?;
            }
            Ok(evaluation)
        })
    }

    /// The personal adapter and the one made alone.
    fn at_home(
        &self,
        common: &GlobalAdapter,
        with_alone: bool,
        data: &Examples,
        cancel: &CancellationToken,
    ) -> Result<(Option<Homemade>, Option<Homemade>), PipelineError> {
        let personal = HomeSearch::personal(self, common);
        let alone = match with_alone {
            true => HomeSearch::alone(self, common)?,
            false => None,
        };
        let searches = [&personal, &alone].into_iter().flatten();
        let planned = searches.map(|search| search.planned() as u64).sum();
        let (round, done) = (Round(common.applied()), Cell::new(0));
        let work = Work { pipeline: self, data, cancel, round, planned, done };
        let run = |search: Option<HomeSearch>| search.map(|search| search.run(&work)).transpose();
        Ok((run(personal)?, run(alone)?))
    }

    fn compare(
        &self,
        common: &GlobalAdapter,
        personal: Option<Homemade>,
        alone: Option<Homemade>,
        bench: &Bench<'_>,
    ) -> Result<(Evaluation, OnSample), PipelineError> {
        let base = bench.losses(None, bench.reported)?;
        let with_common = bench.candidate(AdapterKind::Common, common, None)?;
        let mut candidates = Vec::new();
        for (kind, made) in [(AdapterKind::Personal, &personal), (AdapterKind::Alone, &alone)] {
            if let Some(made) = made {
                candidates.push(bench.candidate(kind, &made.adapter, Some(made))?);
            }
        }
        let best = best_of(&with_common, &candidates);
        let (of_best, kind) = (&best.reported, best.kind);
        let of = |kind| candidates.iter().find(|candidate: &&Candidate| candidate.kind == kind);
        let loss_of = |kind| of(kind).map(|candidate| candidate.loss(&base));
        let alone_losses = of(AdapterKind::Alone).map(|candidate| &candidate.reported);
        let personal = personal.map(|made| made.adapter);
        let alone = alone.map(|made| made.adapter);
        let best_adapter = match kind {
            AdapterKind::Common => Some(common),
            AdapterKind::Personal => personal.as_ref(),
            AdapterKind::Alone => alone.as_ref(),
        };
        let answering = [alone.as_ref(), Some(common), best_adapter];
        let samples = self.sample_answers(answering, bench.reported, bench.question.samples)?;
        let on_sample = bench.on_sample(of(AdapterKind::Alone), best);
        let evaluation = Evaluation {
            measured_on: bench.measured_on,
            examples: base.len() as u64,
            tokens: base.iter().map(|loss: &ExampleLoss| loss.tokens as u64).sum(),
            validation_examples: best.validation.len() as u64,
            base: mean_loss(&base),
            base_answers: bench.answers(None)?,
            common: with_common.loss(&base),
            personal: loss_of(AdapterKind::Personal),
            alone: loss_of(AdapterKind::Alone),
            alone_takes_s: None,
            best: kind,
            against_base: PairedDifference::of(&base, of_best),
            against_alone: alone_losses.and_then(|alone| PairedDifference::of(alone, of_best)),
            samples,
        };
        Ok((evaluation, on_sample))
    }

    /// The adapter of `kind` that belongs to the common one of now; `None` if it was not made.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn adapter_of(
        &self,
        kind: AdapterKind,
    ) -> Result<Option<GlobalAdapter>, PipelineError> {
        let common = self.state().global.clone();
        match kind {
            AdapterKind::Common => Ok(Some(common)),
            AdapterKind::Personal => self.homemade(name::PERSONAL, &common, &common.plain()),
            AdapterKind::Alone => {
                let start = self.learning.first_adapter(&self.terms)?.plain();
                self.homemade(name::ALONE, &common, &start)
            }
        }
    }

    /// Whether the adapter of the federation's last round is here.
    pub(crate) fn has_last_adapter(&self) -> bool {
        self.state().global.applied() >= self.end.load(Ordering::Relaxed)
    }

    /// The last comparison, if it was made with the common adapter of now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn comparison(&self) -> Result<Option<Comparison>, PipelineError> {
        let bytes = self.secrets.get(name::BEST)?;
        let kept: Option<KeptChoice> = bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        let common = self.state().global.digest();
        Ok(kept.filter(|kept| kept.common == common).map(|kept| kept.comparison))
    }
}
