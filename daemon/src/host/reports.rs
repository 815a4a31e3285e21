//! This node's own report of each finished round.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use fedshield_net::{NetStats, Traffic};
use fedshield_protocol::effect::Purpose;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::status::{Activity, Status};
use fedshield_protocol::wire::{CertifiedRecord, Outcome};

use super::best_round::BestRound;
use super::effects::label;
use super::pending::EndedRound;
use super::progress::RoundMeasures;
use super::{Host, HostError};
use crate::conditions::Conditions;
use crate::control::api::{MeanLoss, RoundOutcome, RoundReport, word};

/// Names of the purposes that bytes are counted by, in the order of an update's path.
const PURPOSES: &[(&str, Purpose)] = &[
    ("ciphertext", Purpose::Ciphertext),
    ("share", Purpose::Share),
    ("aggregate", Purpose::Aggregate),
    ("partial", Purpose::Partial),
    ("key", Purpose::Key),
    ("adapter", Purpose::Adapter),
    ("evidence", Purpose::Evidence),
];

/// Tracks phases and traffic between two records.
pub(super) struct Reports {
    names: Vec<String>,
    traffic: NetStats,
    phase: Option<(Activity, Instant)>,
    seconds: BTreeMap<String, f64>,
    committee: BTreeMap<Round, Vec<MemberIndex>>,
    silent: Option<Round>,
}

impl Reports {
    pub(super) fn new(names: Vec<String>, traffic: NetStats) -> Self {
        let (seconds, committee) = (BTreeMap::new(), BTreeMap::new());
        Self { names, traffic, phase: None, seconds, committee, silent: None }
    }

    /// Records a phase change.
    pub(super) fn observe(&mut self, status: &Status) {
        self.committee.insert(status.round, status.committee.clone());
        while self.committee.len() > 2 {
            self.committee.pop_first();
        }
        if self.silent != status.silent_through {
            self.silent = status.silent_through;
            if let Some(round) = self.silent {
                tracing::warn!(
                    %round,
                    "the journal lacks what this node has signed: it sits out rounds up to this \
                     one, then takes part again"
                );
            }
        }
        if self.phase.is_none_or(|(phase, _)| phase != status.activity) {
            tracing::info!(round = %status.round, phase = %word(&status.activity), view = status.view.0, "phase");
            self.close_phase();
            self.phase = Some((status.activity, Instant::now()));
        }
    }

    /// The report of the round that `record` ends.
    pub(super) fn finish(
        &mut self,
        record: &CertifiedRecord,
        traffic: NetStats,
        measures: RoundMeasures,
    ) -> RoundReport {
        self.close_phase();
        let record = &record.record;
        let (outcome, contributors) = match &record.outcome {
            Outcome::Applied { set, .. } => (RoundOutcome::Applied, &set[..]),
            Outcome::Rejected { set, .. } => (RoundOutcome::Rejected, &set[..]),
            Outcome::Void { set, .. } => (RoundOutcome::Void, &set[..]),
            Outcome::Skipped => (RoundOutcome::Skipped, &[][..]),
            Outcome::Measured { set, .. } => (RoundOutcome::Measured, &set[..]),
        };
        let committee = self.committee.remove(&record.round).unwrap_or_default();
        let mut seconds = std::mem::take(&mut self.seconds);
        // The time waiting for others is the phase's duration minus this member's own work in it.
        let own: f64 = ["train", "prune", "encrypt", "share"]
            .iter()
            .filter_map(|s| measures.seconds.get(s))
            .sum();
        if let Some(commit) = seconds.get_mut("commit") {
            *commit = (*commit - own).max(0.0);
        }
        for (stage, value) in measures.seconds {
            seconds.entry(stage.to_owned()).or_insert(value);
        }
        let previous = std::mem::replace(&mut self.traffic, traffic);
        RoundReport {
            round: record.round,
            outcome,
            adapter_digest: record.adapter.map(|adapter| adapter.root),
            contributors: contributors.iter().map(|(member, _)| self.name(*member)).collect(),
            committee: committee.iter().map(|member| self.name(*member)).collect(),
            bytes: bytes_between(&previous, &traffic, |traffic| traffic.bytes_out),
            bytes_in: bytes_between(&previous, &traffic, |traffic| traffic.bytes_in),
            seconds,
            train_loss: measures.train_loss,
            held_out_loss: None,
            mean_loss: record.outcome.measured().map(|it| MeanLoss::of(record.round, it)),
            update_bytes_f32: measures.update_bytes_f32,
            sent_bytes: measures.ciphertext_bytes,
        }
    }

    fn close_phase(&mut self) {
        if let Some((phase, since)) = self.phase.take() {
            *self.seconds.entry(word(&phase)).or_default() += since.elapsed().as_secs_f64();
        }
    }

    fn name(&self, member: MemberIndex) -> String {
        self.names.get(member.position()).cloned().unwrap_or_else(|| member.to_string())
    }
}

impl Host {
    /// A record is in the ledger: makes this node's report of its round.
    pub(super) fn round_ended(&mut self, record: &CertifiedRecord) -> EndedRound {
        let round = record.record.round;
        let measures = self.parts.progress.take(round);
        let report = self.reports.finish(record, self.parts.net.stats(), measures);
        tracing::info!(
            %round,
            outcome = %word(&report.outcome),
            contributors = report.contributors.len(),
            sent_bytes = report.bytes.get("transport").copied().unwrap_or_default(),
            "record"
        );
        // Of a batch of records that this node has fetched, the machine knows the end already.
        let machine = &self.parts.machine;
        let is_last = machine.is_done() && machine.scope().round == round.next();
        EndedRound { round, is_last, adapter: record.record.adapter, report }
    }

    /// Stores the report of a finished round, releases its objects, and has its adapter measured.
    pub(super) fn keep_report(&mut self, ended: &EndedRound) -> Result<(), HostError> {
        let EndedRound { round, is_last, adapter, ref report } = *ended;
        self.parts.ledger.put_report(report)?;
        if let Some(loss) = report.train_loss {
            self.training.first_or_next(round, loss);
            self.training.show(&Conditions::new(Arc::clone(&self.parts.status)));
        }
        if let Some(mean) = report.mean_loss {
            self.joint.best_or_next(round, mean.ratio);
            // What was applied last is what this round started from.
            let before = self.last_applied.map(|(_, adapter)| adapter);
            BestRound::note(&mut self.best, mean.ratio, before);
            self.joint.show(&Conditions::new(Arc::clone(&self.parts.status)));
            self.parts.status.send_modify(|status| status.mean_loss = Some(mean));
        }
        self.show_end();
        let pipeline = Arc::clone(&self.parts.pipeline);
        let best = self.best.and_then(|best| best.adapter());
        let held = move || pipeline.held().into_iter().chain(best).collect();
        self.collector.ended(round, is_last, adapter, held);
        if report.outcome == RoundOutcome::Applied {
            // A round was applied, so the last error no longer holds.
            self.parts.status.send_modify(|status| status.last_error = None);
            self.last_applied = adapter.map(|adapter| (round, adapter));
            self.measure_again();
        }
        Ok(())
    }

    /// Shows how many rounds are to be applied, once the members have ended the training early.
    pub(super) fn show_end(&self) {
        let stopped = self.parts.machine.stopped();
        let end = self.parts.pipeline.terms().manifest.end(stopped);
        self.parts.pipeline.ends_after(end);
        self.parts.status.send_if_modified(|status| match &mut status.federation {
            Some(federation) if federation.rounds != end => {
                federation.rounds = end;
                true
            }
            _ => false,
        });
    }

    /// Has the newest adapter measured if it is here: after a restart, and when this member has
    /// caught up.
    pub(super) fn measure_again(&self) {
        if let Some((round, adapter)) = self.last_applied
            && self.parts.objects.contains(&adapter).unwrap_or(false)
        {
            self.measurer.request(round, adapter);
        }
    }
}

fn bytes_between(
    before: &NetStats,
    after: &NetStats,
    pick: impl Fn(&Traffic) -> u64,
) -> BTreeMap<String, u64> {
    let difference = |before: &Traffic, after: &Traffic| pick(after).saturating_sub(pick(before));
    let mut bytes: BTreeMap<String, u64> = PURPOSES
        .iter()
        .map(|(word, purpose)| {
            let label = label(*purpose);
            ((*word).to_owned(), difference(&before.object(label), &after.object(label)))
        })
        .collect();
    let messages =
        difference(&before.gossip, &after.gossip) + difference(&before.direct, &after.direct);
    bytes.insert("messages".to_owned(), messages);
    // Everything on the wire: including Noise, multiplexing, gossip's fan-out and pings.
    bytes.insert("transport".to_owned(), difference(&before.transport, &after.transport));
    bytes
}
