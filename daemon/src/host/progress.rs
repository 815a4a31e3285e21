//! What jobs report while they run: progress for the operator, seconds for the round's report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fedshield_protocol::ids::Round;
use tokio::sync::watch;

use super::unreadable::{UNREADABLE_PARTIALS, UnreadablePartials};
use crate::conditions::Conditions;
use crate::control::api::{Condition, NodeStatus, WorkProgress};
use crate::jobs::{
    ContributionSizes, OPTIMIZER_CONDITION, Observer, ParsedPartial, Stage, TrainingStep,
    UNMEASURED_CONDITION,
};
use crate::learning::{DATA_CONDITION, DataLook, SKIPPED_CONDITION};

/// Bytes of one unencrypted value.
const F32_BYTES: u64 = 4;

/// What was measured in one round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoundMeasures {
    /// Seconds of each stage.
    pub seconds: BTreeMap<&'static str, f64>,
    /// Mean training loss.
    pub train_loss: Option<f64>,
    /// Bytes of the pruned update as f32.
    pub update_bytes_f32: u64,
    /// Bytes of the encrypted update.
    pub ciphertext_bytes: u64,
}

/// Rounds whose measures are kept until their report is made.
const ROUNDS_KEPT: usize = 4;

/// Collects measures and shows progress.
pub struct ProgressBoard {
    inner: Mutex<Inner>,
    status: Arc<watch::Sender<NodeStatus>>,
}

#[derive(Default)]
struct Inner {
    rounds: BTreeMap<Round, RoundMeasures>,
    /// What runs now. Jobs run concurrently; the earliest stage of an update is shown, and an
    /// evaluation only while nothing else runs.
    running: BTreeMap<Stage, WorkProgress>,
    unreadable: UnreadablePartials,
}

impl ProgressBoard {
    /// A board that shows progress in `status`.
    #[must_use]
    pub fn new(status: Arc<watch::Sender<NodeStatus>>) -> Self {
        Self { inner: Mutex::default(), status }
    }

    /// Takes out what was measured in `round`.
    pub fn take(&self, round: Round) -> RoundMeasures {
        self.lock().rounds.remove(&round).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, round: Round, change: impl FnOnce(&mut RoundMeasures)) {
        let rounds = &mut self.lock().rounds;
        change(rounds.entry(round).or_default());
        while rounds.len() > ROUNDS_KEPT {
            rounds.pop_first();
        }
    }

    fn show(&self, change: impl FnOnce(&mut BTreeMap<Stage, WorkProgress>)) {
        let shown = {
            let running = &mut self.lock().running;
            change(running);
            running.values().next().cloned()
        };
        self.status.send_modify(|status| status.progress = shown);
    }
}

impl Observer for ProgressBoard {
    fn begin(&self, _round: Round, stage: Stage) {
        let progress = WorkProgress {
            phase: stage.word().to_owned(),
            step: 0,
            steps: 0,
            loss: None,
            tokens_per_second: None,
            fraction: 0.0,
        };
        self.show(|running| drop(running.insert(stage, progress)));
    }

    fn end(&self, round: Round, stage: Stage, seconds: f64) {
        // An evaluation belongs to no round.
        if stage != Stage::Evaluate {
            self.measure(round, |measures| {
                *measures.seconds.entry(stage.word()).or_default() += seconds;
            });
        }
        self.show(|running| drop(running.remove(&stage)));
    }

    fn step(&self, _round: Round, stage: Stage, step: TrainingStep) {
        let progress = WorkProgress {
            phase: stage.word().to_owned(),
            step: step.step,
            steps: step.steps,
            loss: Some(step.loss),
            tokens_per_second: Some(step.tokens_per_second),
            fraction: step.step as f64 / step.steps.max(1) as f64,
        };
        self.show(|running| drop(running.insert(stage, progress)));
    }

    fn parsed_partials(&self, round: Round, parsed: &[ParsedPartial]) {
        let federation = self.status.borrow().federation.clone();
        let names = federation.map(|federation| federation.members).unwrap_or_default();
        let (condition, counts) = {
            let unreadable = &mut self.lock().unreadable;
            for member in unreadable.note(round, parsed) {
                let name = names.get(member.position()).map_or("?", String::as_str);
                let reason =
                    parsed.iter().find(|(it, _)| *it == member).and_then(|it| it.1.as_ref());
                let reason = reason.map_or("", String::as_str);
                tracing::warn!(%round, member = name, reason, "partial decryption rejected");
            }
            (unreadable.condition(&names), unreadable.counts(&names))
        };
        Conditions::new(Arc::clone(&self.status)).show(UNREADABLE_PARTIALS, condition);
        self.status.send_if_modified(|status| {
            let changed = status.unreadable_partials != counts;
            status.unreadable_partials = counts;
            changed
        });
    }

    fn looked_at_data(&self, look: &DataLook) {
        if *look != DataLook::Busy {
            Conditions::new(Arc::clone(&self.status)).show(DATA_CONDITION, look.condition());
        }
    }

    fn left_out(&self, condition: Option<Condition>) {
        Conditions::new(Arc::clone(&self.status)).show(SKIPPED_CONDITION, condition);
    }

    fn unmeasured(&self, condition: Option<Condition>) {
        Conditions::new(Arc::clone(&self.status)).show(UNMEASURED_CONDITION, condition);
    }

    fn optimizer_state(&self, condition: Option<Condition>) {
        Conditions::new(Arc::clone(&self.status)).show(OPTIMIZER_CONDITION, condition);
    }

    fn contributed(&self, round: Round, update: ContributionSizes) {
        self.measure(round, |measures| {
            measures.train_loss = update.train_loss;
            measures.update_bytes_f32 = update.values * F32_BYTES;
            measures.ciphertext_bytes = update.ciphertext_bytes;
        });
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;

    fn shown(board: &ProgressBoard) -> Option<String> {
        board.status.borrow().progress.as_ref().map(|progress| progress.phase.clone())
    }

    #[test]
    fn data_that_cannot_be_used_is_shown_until_it_is_fixed() {
        let (status, _keep) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let board = ProgressBoard::new(Arc::new(status));
        let broken = DataLook::Unreadable { problem: "a.jsonl:17: no JSON".to_owned(), train: 9 };
        board.looked_at_data(&broken);
        // The file is being written, so nothing is known yet.
        board.looked_at_data(&DataLook::Busy);
        let shown = board.status.borrow().conditions.clone();
        assert_eq!(shown.len(), 1);
        assert!(shown[0].message.contains("a.jsonl:17: no JSON"), "{}", shown[0].message);
        assert!(shown[0].message.contains("9 examples"), "{}", shown[0].message);
        board.looked_at_data(&DataLook::Unchanged);
        assert!(board.status.borrow().conditions.is_empty());
    }

    #[test]
    fn an_evaluation_hides_no_round_and_counts_in_none() {
        let (status, _keep) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let board = ProgressBoard::new(Arc::new(status));
        let round = Round(3);
        board.begin(round, Stage::Evaluate);
        assert_eq!(shown(&board).as_deref(), Some("evaluate"));
        board.begin(round, Stage::Train);
        let step = TrainingStep { step: 1, steps: 2, loss: 2.0, tokens_per_second: 10.0 };
        board.step(round, Stage::Evaluate, step);
        assert_eq!(shown(&board).as_deref(), Some("train"));
        board.end(round, Stage::Train, 2.0);
        assert_eq!(shown(&board).as_deref(), Some("evaluate"));
        board.end(round, Stage::Evaluate, 5.0);
        assert_eq!(shown(&board), None);
        assert_eq!(board.take(round).seconds, BTreeMap::from([("train", 2.0)]));
    }
}
