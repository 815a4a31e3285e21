//! Crashes at a milestone of the protocol: a given number of effects after enough members have
//! reached it, some members crash at once.

use std::collections::BTreeSet;

use fedshield_protocol::ids::Round;
use fedshield_protocol::job::{Combined, Job, JobOutput};
use fedshield_protocol::wire::Decision;
use fedshield_protocol::wire::journal::Note;

use super::checkers::Fact;
use super::faults::Crash;
use super::loss::Loss;
use super::world::World;

/// A step that a member takes once in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// It takes part.
    Ready,
    /// Its commitment is in its journal.
    Committed,
    /// Its report is in its journal.
    Reported,
    /// It has added the updates of a set and attested the sum.
    Attested,
    /// It knows the decision on the set.
    SetDecided,
    /// Its partial decryption is released.
    Released,
    /// It has opened the sum.
    Opened,
    /// It knows the decision on the outcome, opened or void.
    EndDecided,
    /// It has applied the sum, or rejected it by the range check.
    Applied,
    /// It has signed the record.
    Signed,
    /// It has the record.
    Recorded,
}

impl Milestone {
    /// All of them, in the order of a round.
    pub const ALL: [Self; 11] = [
        Self::Ready,
        Self::Committed,
        Self::Reported,
        Self::Attested,
        Self::SetDecided,
        Self::Released,
        Self::Opened,
        Self::EndDecided,
        Self::Applied,
        Self::Signed,
        Self::Recorded,
    ];

    fn of(fact: &Fact<'_>) -> Option<(Round, Self)> {
        match fact {
            Fact::Noted(entry) => {
                let milestone = match &entry.note {
                    Note::Ready => Self::Ready,
                    Note::Committed(_) => Self::Committed,
                    Note::Reported(_) => Self::Reported,
                    Note::Attested { .. } => Self::Attested,
                    Note::Decided(decided) => match decided.value.decision() {
                        Decision::Set => Self::SetDecided,
                        Decision::Outcome => Self::EndDecided,
                    },
                    Note::Released { .. } => Self::Released,
                    Note::Signed(_) => Self::Signed,
                    _ => return None,
                };
                Some((entry.round, milestone))
            }
            Fact::Ended(
                Job::Combine { start, .. } | Job::CheckKey { start, .. },
                JobOutput::Combined(Combined::Opened { .. })
                | JobOutput::KeyChecked { sum: Some(_) },
            ) => Some((start.round, Self::Opened)),
            Fact::Ended(Job::Apply { start, .. }, _) => Some((start.round, Self::Applied)),
            Fact::Recorded(record) => Some((record.record.round, Self::Recorded)),
            _ => None,
        }
    }
}

/// A crash of several members at once.
#[derive(Debug, Clone)]
pub struct TriggeredCrash {
    /// The round of the milestone.
    pub round: Round,
    /// The milestone that triggers it.
    pub milestone: Milestone,
    /// Number of honest nodes that must have reached the milestone.
    pub members: usize,
    /// Number of effects, of any machines, between that and the crash.
    pub after: u64,
    /// The nodes that crash, and what each loses.
    pub nodes: Vec<(usize, Loss)>,
    /// How long they are down, in milliseconds.
    pub down_ms: u64,
}

struct Armed {
    crash: TriggeredCrash,
    arrived: BTreeSet<usize>,
    left: u64,
}

/// The triggered crashes that have not happened yet.
pub(super) struct TriggeredCrashes(Vec<Armed>);

impl TriggeredCrashes {
    pub(super) fn new(triggered_crashes: &[TriggeredCrash]) -> Self {
        let armed = |crash: &TriggeredCrash| Armed {
            crash: crash.clone(),
            arrived: BTreeSet::new(),
            left: crash.after,
        };
        Self(triggered_crashes.iter().map(armed).collect())
    }

    pub(super) fn observe(&mut self, node: usize, fact: &Fact<'_>) {
        if self.0.is_empty() {
            return;
        }
        let Some(now) = Milestone::of(fact) else { return };
        for armed in &mut self.0 {
            if now == (armed.crash.round, armed.crash.milestone) {
                armed.arrived.insert(node);
            }
        }
    }

    /// The crash that is due before the next effect, if any. Counts down the others.
    fn due(&mut self) -> Option<TriggeredCrash> {
        let is_due = |armed: &mut Armed| {
            let counts = armed.arrived.len() >= armed.crash.members;
            let due = counts && armed.left == 0;
            armed.left -= u64::from(counts && armed.left > 0);
            due
        };
        let position = self.0.iter_mut().position(is_due)?;
        Some(self.0.remove(position).crash)
    }
}

impl World {
    /// Executes the triggered crashes that are due; called before each effect.
    pub(super) fn crash_if_triggered(&mut self) {
        while let Some(crash) = self.triggered_crashes.due() {
            for (node, loss) in crash.nodes {
                let (at_ms, down_ms) = (self.now, crash.down_ms);
                self.crash(node, Crash { node, at_ms, down_ms, loss });
            }
        }
    }
}
