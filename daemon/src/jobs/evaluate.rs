//! The operator's comparison, on data that nothing was chosen by: the base model, the best adapter
//! that this member can make alone, the federation's, and the best that this member ends up with.
//!
//! Everything is chosen by the validation part: learning rates and numbers of steps (`home`), and
//! which adapter is the best (`choice`). Nothing of it is sent.

mod answers;
mod choice;
mod home;

use std::cell::Cell;

use fedshield_protocol::ids::Round;
use fedshield_train::adapter::Adapter;
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{ExampleLoss, PairedDifference, mean_loss};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::durable_state::name;
use super::measure::finite;
use super::observer::{Stage, timed};
use super::{Pipeline, PipelineError};
use crate::control::api::{Comparison, Evaluation};
use crate::learning::{Examples, MeasuredOn};
use choice::{Candidate, best_of};
pub(crate) use home::rounds_of_training_alone;
use home::{Homemade, Search, Work};

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
    /// Makes what this member can make at home, chooses the best, and measures. Without
    /// `with_alone`, the adapter made alone, which costs as much training as all rounds, is left
    /// out.
    ///
    /// # Errors
    /// If there is no held-out data, a loss is not finite, or training fails.
    pub fn evaluate(
        &self,
        with_alone: bool,
        cancel: &CancellationToken,
    ) -> Result<Evaluation, PipelineError> {
        let data = self.learning.examples();
        if data.set.held_out.is_empty() {
            return Err(PipelineError::NoHeldOut);
        }
        let common = self.state().global.clone();
        let round = Round(common.applied());
        timed(&*self.observer, round, Stage::Evaluate, || {
            let personal = Search::personal(self, &common);
            let alone = match with_alone {
                true => Search::alone(self, &common)?,
                false => None,
            };
            let searches = [&personal, &alone].into_iter().flatten();
            let planned = searches.map(|search| search.planned() as u64).sum();
            let done = Cell::new(0);
            let work = Work { pipeline: self, data: &data, cancel, round, planned, done };
            let run = |search: Option<Search>| search.map(|search| search.run(&work)).transpose();
            let (personal, alone) = (run(personal)?, run(alone)?);
            self.compare(&common, personal, alone, &data, cancel)
        })
    }

    fn compare(
        &self,
        common: &GlobalAdapter,
        personal: Option<Homemade>,
        alone: Option<Homemade>,
        data: &Examples,
        cancel: &CancellationToken,
    ) -> Result<Evaluation, PipelineError> {
        let trainer = self.learning.trainer()?;
        let (reported, measured_on) = data.reported();
        let losses = |adapter: Option<&GlobalAdapter>, examples: &[_]| {
            if cancel.is_cancelled() {
                return Err(PipelineError::Cancelled);
            }
            let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
            let losses = trainer.evaluate_each(adapter, examples)?;
            finite(mean_loss(&losses))?;
            Ok(losses)
        };
        let measured = |kind, adapter: &GlobalAdapter, made: Option<&Homemade>| {
            let validation = losses(Some(adapter), &data.set.held_out)?;
            let reported = match measured_on {
                MeasuredOn::Test => losses(Some(adapter), reported)?,
                MeasuredOn::Validation => validation.clone(),
            };
            let (steps, learning_rate) =
                made.map_or((0, 0.0), |made| (made.steps, made.learning_rate));
            Ok::<_, PipelineError>(Candidate { kind, validation, reported, steps, learning_rate })
        };
        let base = losses(None, reported)?;
        let with_common = measured(AdapterKind::Common, common, None)?;
        let mut candidates = Vec::new();
        for (kind, made) in [(AdapterKind::Personal, &personal), (AdapterKind::Alone, &alone)] {
            if let Some(made) = made {
                candidates.push(measured(kind, &made.adapter, Some(made))?);
            }
        }
        let best = best_of(&with_common, &candidates);
        let (of_best, kind) = (&best.reported, best.kind);
        let of = |kind| candidates.iter().find(|candidate: &&Candidate| candidate.kind == kind);
        let alone_losses = of(AdapterKind::Alone).map(|candidate| &candidate.reported);
        let made = |made: &Option<Homemade>| made.as_ref().map(|made| made.adapter.clone());
        let (personal, alone) = (made(&personal), made(&alone));
        let best_adapter = match kind {
            AdapterKind::Common => Some(common),
            AdapterKind::Personal => personal.as_ref(),
            AdapterKind::Alone => alone.as_ref(),
        };
        let evaluation = Evaluation {
            measured_on,
            examples: base.len() as u64,
            tokens: base.iter().map(|loss: &ExampleLoss| loss.tokens as u64).sum(),
            validation_examples: best.validation.len() as u64,
            base: mean_loss(&base),
            common: with_common.loss(),
            personal: of(AdapterKind::Personal).map(Candidate::loss),
            alone: of(AdapterKind::Alone).map(Candidate::loss),
            alone_takes_s: None,
            best: kind,
            against_base: PairedDifference::of(&base, of_best),
            against_alone: alone_losses.and_then(|alone| PairedDifference::of(alone, of_best)),
            samples: self.sample_answers([alone.as_ref(), Some(common), best_adapter], reported)?,
        };
        let comparison = Comparison::of(&evaluation, common.applied());
        self.keep(name::BEST, &KeptChoice { common: common.digest(), comparison })?;
        Ok(evaluation)
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
