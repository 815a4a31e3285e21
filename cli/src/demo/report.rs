//! The result of a demo run, as JSON. `docs/CLI.md` documents it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fedshield_protocol::ids::{Digest, Round};
use fedshieldd::control::api::{
    AdapterKind, ErrorCode, Evaluation, MeasuredOn, RoundReport, Sample,
};
use serde::Serialize;

use super::questions::Answers;
use crate::failure::Failure;

/// The whole run.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Every finished round, the same at all members: bytes of all of them, seconds of the slowest,
    /// their mean loss.
    pub rounds: Vec<RoundReport>,
    /// By member, in the order of the command line.
    pub members: Vec<DemoMember>,
    /// The exported ledger.
    pub ledger: PathBuf,
    /// The folder with the exported adapter of the first member; all members exported the same.
    pub adapter: PathBuf,
    /// The ledger passed its offline verification and all members have the same adapters.
    pub verified: bool,
    /// Bytes of the encrypted updates over those of the pruned updates as f32.
    pub update_ratio: Option<f64>,
    /// The fixed questions; `None` where the data have none.
    pub questions: Option<Answers>,
    /// Seconds from the first daemon's start to the last round's end.
    pub federation_seconds: f64,
    /// Seconds of the whole run.
    pub total_seconds: f64,
}

/// One member.
#[derive(Debug, Clone, Serialize)]
pub struct DemoMember {
    /// Its name.
    pub name: String,
    /// The adapter it ended with.
    pub adapter_digest: Option<Digest>,
    /// On its own held-out data, nats per token.
    pub held_out_loss: HeldOutLoss,
    /// Bytes it sent in all rounds, by phase or purpose.
    pub bytes_sent: BTreeMap<String, u64>,
    /// Bytes it received in all rounds.
    pub bytes_received: BTreeMap<String, u64>,
    /// Its pruned updates as f32, all rounds.
    pub update_bytes_f32: u64,
    /// Its encrypted updates with headers, all rounds.
    pub sent_bytes: u64,
    /// What joining was worth, in one sentence.
    pub headline: String,
    /// Some questions, with the answers of each adapter.
    pub samples: Vec<Sample>,
    /// Its exported adapter.
    pub adapter: PathBuf,
}

/// Held-out losses of one member, nats per token.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HeldOutLoss {
    /// The part of the data that the losses are on.
    pub measured_on: MeasuredOn,
    /// The frozen model.
    pub base: f64,
    /// The adapter trained at this member alone, with as many steps.
    pub alone: Option<f64>,
    /// The federation's adapter.
    pub common: f64,
    /// The one that this member ends up with, by its validation data.
    pub best: f64,
    /// Which one that is.
    pub best_is: AdapterKind,
}

/// What one member returned to the demo at the end.
#[derive(Debug, Clone)]
pub struct MemberOutcome {
    /// Its name.
    pub name: String,
    /// Its finished rounds.
    pub rounds: Vec<RoundReport>,
    /// Its measurement.
    pub evaluation: Evaluation,
    /// Its exported adapter.
    pub adapter: PathBuf,
    /// The digest that the export names.
    pub exported: Digest,
}

/// Merges the members' rounds.
///
/// # Errors
/// If two members disagree about a round, or one exported another adapter than the last round's:
/// names both.
pub fn agreed_rounds(outcomes: &[MemberOutcome]) -> Result<Vec<RoundReport>, Failure> {
    let Some((first, others)) = outcomes.split_first() else { return Ok(Vec::new()) };
    for other in others {
        for (a, b) in first.rounds.iter().zip(&other.rounds) {
            let same =
                (a.round, a.outcome, a.adapter_digest) == (b.round, b.outcome, b.adapter_digest);
            if !same {
                return Err(disagreement(&first.name, &other.name, a.round));
            }
        }
        if first.rounds.len() != other.rounds.len() {
            let round = first.rounds.len().min(other.rounds.len()) as u64;
            return Err(disagreement(&first.name, &other.name, Round(round)));
        }
    }
    let last = first.rounds.iter().rev().find_map(|round| round.adapter_digest);
    for outcome in outcomes {
        if Some(outcome.exported) != last {
            let round = first.rounds.last().map_or(Round(0), |round| round.round);
            return Err(disagreement(&first.name, &outcome.name, round));
        }
    }
    let of_all = |index: usize| outcomes.iter().filter_map(move |member| member.rounds.get(index));
    Ok((0..first.rounds.len()).filter_map(|index| merged(of_all(index))).collect())
}

fn disagreement(a: &str, b: &str, round: Round) -> Failure {
    Failure::new(
        ErrorCode::LedgerInvalid,
        format!("{a} and {b} do not report the same adapter for round {round}"),
    )
    .next("this must never happen: keep the work folder and report it with its logs")
}

/// What all members report of one round, as one report; `None` if nobody does.
fn merged<'a>(reports: impl Iterator<Item = &'a RoundReport> + Clone) -> Option<RoundReport> {
    let mut all = reports.clone().next()?.clone();
    for report in reports.clone().skip(1) {
        add(&mut all.bytes, &report.bytes);
        add(&mut all.bytes_in, &report.bytes_in);
        for (phase, value) in &report.seconds {
            let slowest = all.seconds.entry(phase.clone()).or_default();
            *slowest = slowest.max(*value);
        }
        all.update_bytes_f32 += report.update_bytes_f32;
        all.sent_bytes += report.sent_bytes;
    }
    all.train_loss = mean(reports.clone().filter_map(|report| report.train_loss));
    all.held_out_loss = mean(reports.filter_map(|report| report.held_out_loss));
    Some(all)
}

fn add(sum: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (purpose, count) in counts {
        *sum.entry(purpose.clone()).or_default() += count;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

impl From<MemberOutcome> for DemoMember {
    fn from(outcome: MemberOutcome) -> Self {
        let mut bytes_sent: BTreeMap<String, u64> = BTreeMap::new();
        let mut bytes_received: BTreeMap<String, u64> = BTreeMap::new();
        for round in &outcome.rounds {
            add(&mut bytes_sent, &round.bytes);
            add(&mut bytes_received, &round.bytes_in);
        }
        let evaluation = outcome.evaluation;
        Self {
            name: outcome.name,
            adapter_digest: outcome.rounds.iter().rev().find_map(|round| round.adapter_digest),
            held_out_loss: HeldOutLoss {
                measured_on: evaluation.measured_on,
                base: evaluation.base,
                alone: evaluation.alone.map(|alone| alone.loss),
                common: evaluation.common.loss,
                best: evaluation.best_loss(),
                best_is: evaluation.best,
            },
            bytes_sent,
            bytes_received,
            update_bytes_f32: outcome.rounds.iter().map(|round| round.update_bytes_f32).sum(),
            sent_bytes: outcome.rounds.iter().map(|round| round.sent_bytes).sum(),
            headline: evaluation.headline(),
            samples: evaluation.samples,
            adapter: outcome.adapter,
        }
    }
}

/// Bytes of the encrypted updates over those of the pruned ones as f32; `None` if nothing was sent.
#[must_use]
pub fn update_ratio(members: &[DemoMember]) -> Option<f64> {
    let plain: u64 = members.iter().map(|member| member.update_bytes_f32).sum();
    let sent: u64 = members.iter().map(|member| member.sent_bytes).sum();
    (plain > 0).then(|| sent as f64 / plain as f64)
}

#[cfg(test)]
pub(crate) mod tests;
