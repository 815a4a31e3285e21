//! The measurements of a comparison: losses of every example, and answers where they are short.

use std::collections::HashSet;

use fedshield_protocol::ids::Digest;
use fedshield_train::adapter::Adapter;
use fedshield_train::data::{ShortDigest, TokenizedExample};
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{AnswerScore, ExampleLoss, ShortAnswers, TrainError, mean_loss};
use tokio_util::sync::CancellationToken;

use super::choice::Candidate;
use super::home::Homemade;
use super::{AdapterKind, Question};
use crate::control::api::OnSample;
use crate::jobs::measure::finite;
use crate::jobs::{Pipeline, PipelineError};
use crate::learning::{MeasuredOn, sample_digest};

/// Answers that are compared with the reference.
const SHORT: ShortAnswers = ShortAnswers { tokens: 16, most: 50 };

/// What is measured, and on what.
pub(super) struct Bench<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) question: &'a Question,
    /// What choices are made by.
    pub(super) validation: &'a [TokenizedExample],
    /// The part of it that the curve over the rounds is measured on.
    pub(super) sample: &'a [TokenizedExample],
    pub(super) reported: &'a [TokenizedExample],
    pub(super) measured_on: MeasuredOn,
    pub(super) cancel: &'a CancellationToken,
}

impl Bench<'_> {
    /// The losses of the base model, or with an adapter.
    pub(super) fn losses(
        &self,
        adapter: Option<&GlobalAdapter>,
        examples: &[TokenizedExample],
    ) -> Result<Vec<ExampleLoss>, PipelineError> {
        if self.cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
        let losses = self.pipeline.learning.trainer()?.evaluate_each(adapter, examples)?;
        finite(mean_loss(&losses))?;
        Ok(losses)
    }

    /// Its short answers, if they were asked for and the data have any.
    pub(super) fn answers(
        &self,
        adapter: Option<&GlobalAdapter>,
    ) -> Result<Option<AnswerScore>, PipelineError> {
        if !self.question.answers {
            return Ok(None);
        }
        let learning = &self.pipeline.learning;
        let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
        let template = learning.rendering.template;
        let cancelled = || self.cancel.is_cancelled();
        let scored =
            learning.trainer()?.score_answers(adapter, template, self.reported, SHORT, &cancelled);
        match scored {
            Err(TrainError::Cancelled { .. }) => Err(PipelineError::Cancelled),
            other => Ok(other?),
        }
    }

    /// The losses beside the curve over the rounds.
    pub(super) fn on_sample(&self, alone: Option<&Candidate>, best: &Candidate) -> OnSample {
        let sampled: HashSet<ShortDigest> =
            self.sample.iter().map(TokenizedExample::digest).collect();
        let loss = |candidate: &Candidate| {
            let of_sample = candidate.validation.iter().filter(|it| sampled.contains(&it.digest));
            mean_loss(&of_sample.copied().collect::<Vec<_>>())
        };
        let sample = Digest(sample_digest(self.sample));
        OnSample { sample, alone: alone.map(loss), best: loss(best) }
    }

    /// Measures one that the member may end up with.
    pub(super) fn candidate(
        &self,
        kind: AdapterKind,
        adapter: &GlobalAdapter,
        made: Option<&Homemade>,
    ) -> Result<Candidate, PipelineError> {
        let validation = self.losses(Some(adapter), self.validation)?;
        let reported = match self.measured_on {
            MeasuredOn::Validation => validation.clone(),
            MeasuredOn::Test | MeasuredOn::File => self.losses(Some(adapter), self.reported)?,
        };
        let answers = self.answers(Some(adapter))?;
        let (steps, learning_rate) = made.map_or((0, 0.0), |made| (made.steps, made.learning_rate));
        Ok(Candidate { kind, validation, reported, answers, steps, learning_rate })
    }
}
