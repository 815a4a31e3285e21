//! Whether this node can take part, and if not, why. The machine's status is checked whenever it
//! changes and once a second, because often what matters is that nothing happens. Every view of a
//! node's state derives from the conditions set here.

mod words;

use std::sync::Arc;

use fedshield_protocol::failed_rounds::FailedRounds;
use fedshield_protocol::ids::{MemberIndex, Time};
use fedshield_protocol::status::{Phase, Status};
use fedshield_protocol::wire::Leave;
use tokio::sync::watch;

use super::failed_rounds::{SUMS_FAIL, sums_fail};
use crate::conditions::Conditions;
use crate::control::api::{Absent, Condition, NodeState, NodeStatus, Pause, Severity, Waiting};
use words::{People, waiting_text};

/// How long a recovery takes before it is shown, and before it counts as trouble. Each round ends
/// with a short one.
const RECOVERY_SHOWN_MS: u64 = 10_000;
const RECOVERY_TROUBLE_MS: u64 = 60_000;

/// The names of the conditions that this file sets.
const CONDITIONS: [&str; 7] = [
    "paused",
    "silent",
    "no-quorum",
    "too-few-contributors",
    "recovering",
    "members-away",
    "members-banned",
];

/// The results of one check.
#[derive(Debug, Clone, PartialEq)]
struct Findings {
    conditions: Vec<Condition>,
    pause: Option<Pause>,
    waiting: Option<Waiting>,
}

/// The machine's latest status, and since when absences, recovery and waits have lasted.
pub(super) struct Standing {
    names: Vec<String>,
    me: MemberIndex,
    status: Arc<watch::Sender<NodeStatus>>,
    board: Conditions,
    machine: Option<Status>,
    pause: Option<Pause>,
    absent: Vec<Absent>,
    recovering_since: Option<Time>,
    /// The end of the present wait by the machine's clock and by wall-clock time, kept so that the
    /// displayed time does not flicker.
    until: Option<(Time, u64)>,
}

impl Standing {
    pub(super) fn new(
        names: Vec<String>,
        me: MemberIndex,
        status: Arc<watch::Sender<NodeStatus>>,
    ) -> Self {
        let board = Conditions::new(Arc::clone(&status));
        Self {
            names,
            me,
            status,
            board,
            machine: None,
            pause: None,
            absent: Vec::new(),
            recovering_since: None,
            until: None,
        }
    }

    /// An operator's pause, or its end.
    pub(super) fn set_pause(&mut self, pause: Option<Pause>) {
        self.pause = pause;
    }

    /// The pause as shown to operators.
    pub(super) fn pause(&self) -> Option<Pause> {
        let machine = self.machine.as_ref();
        let in_effect = machine.is_some_and(|machine| self.is_paused(machine));
        let after_round = machine.filter(|_| !in_effect).map(|machine| machine.round);
        self.pause.clone().map(|pause| Pause { after_round, ..pause })
    }

    /// Reports whether sums have failed since the last applied round, even when all else is well.
    pub(super) fn show_failed_rounds(&self, failed_rounds: &FailedRounds) {
        self.board.show(SUMS_FAIL, sums_fail(&self.names, failed_rounds));
    }

    /// The machine has published `status` at `now` by its own clock and `unix_s` by wall-clock
    /// time.
    pub(super) fn publish(&mut self, status: Status, now: Time, unix_s: u64) {
        self.machine = Some(status);
        self.refresh(now, unix_s);
    }

    /// Derives the conditions from the latest status and publishes them.
    pub(super) fn refresh(&mut self, now: Time, unix_s: u64) {
        let Some(found) = self.find(now, unix_s) else { return };
        for name in CONDITIONS {
            let condition = found.conditions.iter().find(|it| it.name == name).cloned();
            self.board.show(name, condition);
        }
        let paused = self.machine.as_ref().is_some_and(|machine| self.is_paused(machine));
        let absent = &self.absent;
        self.status.send_if_modified(|status| {
            let state = match (status.state, paused) {
                (NodeState::Active, true) => NodeState::Paused,
                (NodeState::Paused, false) => NodeState::Active,
                (state, _) => state,
            };
            let changed = status.pause != found.pause
                || status.waiting != found.waiting
                || status.absent != *absent
                || status.state != state;
            if changed {
                status.pause.clone_from(&found.pause);
                status.waiting.clone_from(&found.waiting);
                status.absent.clone_from(absent);
                status.state = state;
            }
            changed
        });
    }

    fn is_paused(&self, machine: &Status) -> bool {
        let me = machine.members.get(self.me.position());
        me.is_some_and(|me| me.left == Some(Leave::Paused))
    }

    fn find(&mut self, now: Time, unix_s: u64) -> Option<Findings> {
        let machine = self.machine.clone()?;
        self.note_absent(&machine, unix_s);
        self.note_recovery(&machine, now);
        let pause = self.pause();
        if machine.phase == Phase::Done {
            return Some(Findings { conditions: Vec::new(), pause, waiting: None });
        }
        let banned = &machine.banned;
        let people = People { names: &self.names, absent: &self.absent, banned };
        let mut conditions = Vec::new();
        if let Some(pause) = &pause {
            conditions.push(words::paused(pause));
        }
        if let Some(last) = machine.silent_through {
            conditions.push(words::silent(last));
        }
        let is_paused = self.is_paused(&machine);
        if !is_paused {
            conditions.extend(words::shortage(&people, machine.attendance));
        }
        let took = self.recovering_since.map_or(0, |since| now.0.saturating_sub(since.0));
        if took >= RECOVERY_SHOWN_MS {
            let severity =
                if took >= RECOVERY_TROUBLE_MS { Severity::Blocking } else { Severity::Notice };
            conditions.push(words::recovering(&people, &machine, severity));
        }
        if !self.absent.is_empty() && conditions.is_empty() {
            conditions.push(words::absent(&people));
        }
        if !banned.is_empty() {
            conditions.push(words::banned(&people));
        }
        let waiting = if is_paused { None } else { self.waiting(&machine, now, unix_s) };
        Some(Findings { conditions, pause, waiting })
    }

    /// Records since when members are absent.
    fn note_absent(&mut self, machine: &Status, unix_s: u64) {
        let before = std::mem::take(&mut self.absent);
        for (position, member) in machine.members.iter().enumerate() {
            let index = MemberIndex(u16::try_from(position).unwrap_or(u16::MAX));
            if member.here || index == self.me {
                continue;
            }
            let known = before.iter().find(|absent| absent.member == index);
            let since_unix_s = known.map_or(unix_s, |absent| absent.since_unix_s);
            self.absent.push(Absent { member: index, why: member.left, since_unix_s });
        }
    }

    /// Records since when this node has been catching up, whatever progress it makes.
    fn note_recovery(&mut self, machine: &Status, now: Time) {
        let recovers = matches!(machine.phase, Phase::Recovering | Phase::Sync)
            && machine.silent_through.is_none()
            || words::rounds_ahead(machine).is_some();
        if !recovers {
            self.recovering_since = None;
        } else if self.recovering_since.is_none() {
            self.recovering_since = Some(now);
        }
    }

    fn waiting(&mut self, machine: &Status, now: Time, unix_s: u64) -> Option<Waiting> {
        let end = machine.wait.and_then(|wait| wait.until).filter(|until| *until > now);
        if self.until.map(|(time, _)| time) != end {
            let seconds = |until: Time| until.0.saturating_sub(now.0).div_ceil(1000);
            self.until = end.map(|until| (until, unix_s.saturating_add(seconds(until))));
        }
        let until_unix_s = self.until.map(|(_, unix_s)| unix_s);
        let (text, can_go_on) = waiting_text(machine)?;
        // Without a quorum no timer ends the wait.
        let until_unix_s = until_unix_s.filter(|_| machine.attendance.is_quorum());
        Some(Waiting { text, until_unix_s, can_go_on })
    }
}

#[cfg(test)]
mod tests;
