//! What a demo run found, as JSON. `docs/CLI.md` documents it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fedshield_protocol::ids::{Digest, Round};
use fedshieldd::control::api::{Evaluation, RoundOutcome, RoundReport, Sample};
use serde::Serialize;

use crate::failure::Failure;
use fedshieldd::control::api::ErrorCode;

/// The whole run.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Every finished round, the same at all members.
    pub rounds: Vec<DemoRound>,
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
    /// Seconds from the first daemon's start to the last round's end.
    pub federation_seconds: f64,
    /// Seconds of the whole run.
    pub total_seconds: f64,
}

/// One round.
#[derive(Debug, Clone, Serialize)]
pub struct DemoRound {
    /// Its number.
    pub round: Round,
    /// How it ended.
    pub outcome: RoundOutcome,
    /// The adapter that all members report.
    pub adapter_digest: Option<Digest>,
    /// Whose updates are in the sum.
    pub contributors: Vec<String>,
    /// Who added them.
    pub committee: Vec<String>,
    /// Bytes sent by all members together, by phase or purpose.
    pub bytes: BTreeMap<String, u64>,
    /// Seconds of the slowest member, by phase.
    pub seconds: BTreeMap<String, f64>,
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
    /// One prompt answered without and with the adapter.
    pub sample: Option<Sample>,
    /// Its exported adapter.
    pub adapter: PathBuf,
}

/// Held-out losses of one member, nats per token.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HeldOutLoss {
    /// The frozen model.
    pub base: f64,
    /// An adapter trained at this member alone, with as many steps.
    pub local: Option<f64>,
    /// The federation's adapter.
    pub federated: Option<f64>,
}

/// What one member told the demo at the end.
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

/// Puts the members' rounds together.
///
/// # Errors
/// If two members disagree about a round, or one exported another adapter than the last round's: names both.
pub fn agreed_rounds(outcomes: &[MemberOutcome]) -> Result<Vec<DemoRound>, Failure> {
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
    Ok((0..first.rounds.len()).map(|index| merged(outcomes, index)).collect())
}

fn disagreement(a: &str, b: &str, round: Round) -> Failure {
    Failure::new(
        ErrorCode::LedgerInvalid,
        format!("{a} and {b} do not report the same adapter for round {round}"),
    )
    .next("this must never happen: keep the work folder and report it with its logs")
}

fn merged(outcomes: &[MemberOutcome], index: usize) -> DemoRound {
    let first = &outcomes[0].rounds[index];
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
    for report in outcomes.iter().map(|outcome| &outcome.rounds[index]) {
        for (purpose, count) in &report.bytes {
            *bytes.entry(purpose.clone()).or_default() += count;
        }
        for (phase, value) in &report.seconds {
            let slowest = seconds.entry(phase.clone()).or_default();
            *slowest = slowest.max(*value);
        }
    }
    DemoRound {
        round: first.round,
        outcome: first.outcome,
        adapter_digest: first.adapter_digest,
        contributors: first.contributors.clone(),
        committee: first.committee.clone(),
        bytes,
        seconds,
    }
}

impl From<MemberOutcome> for DemoMember {
    fn from(outcome: MemberOutcome) -> Self {
        let mut bytes_sent: BTreeMap<String, u64> = BTreeMap::new();
        let mut bytes_received: BTreeMap<String, u64> = BTreeMap::new();
        for round in &outcome.rounds {
            for (purpose, count) in &round.bytes {
                *bytes_sent.entry(purpose.clone()).or_default() += count;
            }
            for (purpose, count) in &round.bytes_in {
                *bytes_received.entry(purpose.clone()).or_default() += count;
            }
        }
        let evaluation = outcome.evaluation;
        Self {
            name: outcome.name,
            adapter_digest: outcome.rounds.iter().rev().find_map(|round| round.adapter_digest),
            held_out_loss: HeldOutLoss {
                base: evaluation.base,
                local: evaluation.local,
                federated: evaluation.federated,
            },
            bytes_sent,
            bytes_received,
            update_bytes_f32: outcome.rounds.iter().map(|round| round.update_bytes_f32).sum(),
            sent_bytes: outcome.rounds.iter().map(|round| round.sent_bytes).sum(),
            sample: evaluation.sample,
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
