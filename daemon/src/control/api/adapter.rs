//! The global adapter: its export and its evaluation.

use std::path::PathBuf;

use fedshield_protocol::ids::{Digest, Round};
use fedshield_train::{AnswerScore, PairedDifference};
use serde::{Deserialize, Serialize};

use crate::jobs::AdapterKind;
use crate::learning::MeasuredOn;

/// An adapter of this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhichAdapter {
    /// The federation's.
    #[default]
    Common,
    /// Trained on at home from the common one.
    Personal,
    /// The one that the last comparison found best on this node's validation data.
    Best,
}

/// A round by whose end an adapter is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhichRound {
    /// The one after which the mean of the members' losses was lowest.
    Best,
    /// This one.
    At(u64),
}

/// `POST /v1/adapter/export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Absolute path of a folder on the daemon's machine; created if missing.
    pub directory: PathBuf,
    /// The adapter to write.
    #[serde(default)]
    pub which: WhichAdapter,
    /// The common adapter as it was after this round; `None`: as it is now.
    #[serde(default)]
    pub round: Option<WhichRound>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportView {
    /// The folder that it was written to.
    pub directory: PathBuf,
    /// The files in it.
    pub files: Vec<PathBuf>,
    /// What was written.
    #[serde(default = "common")]
    pub kind: AdapterKind,
    /// Root of the common adapter, from which a personal one was trained on.
    pub adapter_digest: Digest,
    /// The round after which this adapter was the global one.
    pub round: Round,
}

const fn common() -> AdapterKind {
    AdapterKind::Common
}

/// `POST /v1/evaluate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateRequest {
    /// Whether an adapter is trained on this node's data by itself, for comparison, which takes
    /// longer than the training of all rounds did; `None`: if that is an hour at most.
    pub alone: Option<bool>,
    /// Absolute paths of files on the daemon's machine, to report on instead of the test part of
    /// this node's data. Choices are made by the validation part all the same.
    pub data: Vec<PathBuf>,
    /// How many questions are answered as samples, at most [`MOST_SAMPLES`]; `None`: three.
    pub samples: Option<u16>,
}

/// Most questions that are answered as samples.
pub const MOST_SAMPLES: u16 = 100;

/// Losses at this node, in nats per response token, and what is best for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What the losses are on: `test`, `validation` without test data, or `file`.
    pub measured_on: MeasuredOn,
    /// Number of its examples.
    pub examples: u64,
    /// Number of their response tokens.
    pub tokens: u64,
    /// Number of examples that the choices were made by.
    pub validation_examples: u64,
    /// Loss of the frozen model.
    pub base: f64,
    /// Its short answers; `None` if the data have none.
    #[serde(default)]
    pub base_answers: Option<AnswerScore>,
    /// The adapter trained on this node's data by itself; `None` before the first applied round, or
    /// if it was not asked for.
    pub alone: Option<AdapterLoss>,
    /// If it was left out because it would take more than an hour: about how many seconds.
    #[serde(default)]
    pub alone_takes_s: Option<f64>,
    /// The common adapter.
    pub common: AdapterLoss,
    /// The adapter that was trained on at home from the common one; `None` before the first applied
    /// round.
    pub personal: Option<AdapterLoss>,
    /// Which of them this node ends up with, by the validation part.
    pub best: AdapterKind,
    /// Loss of the frozen model minus loss of the best.
    pub against_base: Option<PairedDifference>,
    /// Loss of the adapter trained alone minus loss of the best.
    pub against_alone: Option<PairedDifference>,
    /// Some questions, with the answers of each.
    pub samples: Vec<Sample>,
}

impl Evaluation {
    /// The loss of the best adapter.
    #[must_use]
    pub fn best_loss(&self) -> f64 {
        let chosen = match self.best {
            AdapterKind::Common => None,
            AdapterKind::Personal => self.personal,
            AdapterKind::Alone => self.alone,
        };
        chosen.unwrap_or(self.common).loss
    }

    /// What joining was worth, in one sentence.
    #[must_use]
    pub fn headline(&self) -> String {
        let (other, than, difference) = match self.alone {
            Some(alone) => (alone.loss, "alone", self.against_alone),
            None => (self.base, "the base model", self.against_base),
        };
        if self.best == AdapterKind::Alone {
            return "joining: not better than alone on your own data; the adapter trained alone is \
                    the best here"
                .to_owned();
        }
        let change = (1.0 - self.best_loss() / other) * 100.0;
        let sure = difference.is_some_and(|it| it.low > 0.0 || it.high < 0.0);
        let doubt = if sure { "" } else { ", which these few examples do not prove" };
        let (size, word) = match change >= 0.0 {
            true => (change, "better"),
            false => (-change, "worse"),
        };
        format!("joining: {size:.0}% {word} than {than} on your own data{doubt}")
    }
}

/// The losses of an [`Evaluation`], as `status` shows them; never leaves the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rounds applied in the common adapter.
    pub applied: u64,
    /// What joining was worth, in one sentence.
    pub headline: String,
    /// The part of the data that the losses are on.
    pub measured_on: MeasuredOn,
    /// Number of its examples.
    pub examples: u64,
    /// Loss of the frozen model.
    pub base: f64,
    /// Loss of the adapter trained alone.
    pub alone: Option<f64>,
    /// Loss of the common adapter.
    pub common: f64,
    /// Which adapter this node ends up with.
    pub best: AdapterKind,
    /// Its loss.
    pub best_loss: f64,
    /// The losses beside the curve of [`HeldOut`](super::HeldOut).
    pub on_sample: OnSample,
}

/// Losses on the sample of the held-out data that is measured on after each round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OnSample {
    /// Digest of the sample.
    pub sample: Digest,
    /// The adapter trained alone.
    pub alone: Option<f64>,
    /// The adapter that this node ends up with. It was chosen by these examples, among others.
    pub best: f64,
}

impl Comparison {
    /// Of an evaluation with the adapter of `applied` rounds.
    #[must_use]
    pub fn of(evaluation: &Evaluation, applied: u64, on_sample: OnSample) -> Self {
        Self {
            on_sample,
            applied,
            headline: evaluation.headline(),
            measured_on: evaluation.measured_on,
            examples: evaluation.examples,
            base: evaluation.base,
            alone: evaluation.alone.map(|alone| alone.loss),
            common: evaluation.common.loss,
            best: evaluation.best,
            best_loss: evaluation.best_loss(),
        }
    }
}

/// The adapters that this node makes for itself, without being asked, once the federation is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtHome {
    /// How far it is; [`NodeStatus::progress`](super::NodeStatus::progress) has the steps.
    pub state: AtHomeState,
    /// Why it is off, waits or has failed.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How far this node is with its own adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtHomeState {
    /// The configuration says not to.
    Off,
    /// Waits for the common adapter.
    Waiting,
    /// Trains, or measures.
    Running,
    /// Made, and the best was chosen.
    Done,
    /// It ended with an error; the next start, or `fedshield-cli compare`, tries again.
    Failed,
}

/// One adapter's losses, nats per response token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdapterLoss {
    /// On the part that is reported.
    pub loss: f64,
    /// Loss of the frozen model minus this one.
    #[serde(default)]
    pub against_base: Option<PairedDifference>,
    /// Its short answers; `None` if the data have none.
    #[serde(default)]
    pub answers: Option<AnswerScore>,
    /// On the part that the choices were made by.
    pub validation: f64,
    /// Optimiser steps that it was trained for here, without the others.
    pub steps: u64,
    /// Learning rate of the first of them; 0 without any.
    pub learning_rate: f64,
}

/// One question and its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The prompt.
    pub prompt: String,
    /// The answer in the data.
    pub reference: String,
    /// The frozen model's answer.
    pub base: String,
    /// The answer with the adapter trained alone.
    pub alone: Option<String>,
    /// The answer with the common adapter.
    pub common: String,
    /// The answer with the best adapter.
    pub best: String,
}
