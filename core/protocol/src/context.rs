//! The context that every part of the machine works in: who this member is, the time, the round
//! with its election and deadlines, and the only ways out: messages, the journal, timers, jobs and
//! objects.
//!
//! A part gets it as `&mut Cx`, and the other parts that it may read as shared references. So a
//! signature shows what a handler can change: its own state, and what leaves the machine.

mod jobs;
mod objects;
mod outbox;
mod throttle;

use std::collections::BTreeMap;

pub(crate) use jobs::{Jobs, Tag};
pub(crate) use objects::Objects;
pub(crate) use throttle::{Question, Throttle};

use crate::effect::Effect;
use crate::election::Election;
use crate::event::TimerId;
use crate::ids::{MemberIndex, Round, Time};
use crate::job::RoundStart;
use crate::ledger::Tip;
use crate::machine::Config;
use crate::sign::Signature;
use crate::wire::Body;
use crate::wire::evidence::Evidence;

/// A tick counts if it comes at most this much too early, in milliseconds: clocks may round by a
/// little.
const TIMER_SLACK_MS: u64 = 20;

/// Deadlines of the round that have passed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    pub(crate) commit_over: bool,
    pub(crate) transfer_over: bool,
    pub(crate) decrypt_over: bool,
    pub(crate) round_over: bool,
}

/// See the head of this file.
pub(crate) struct Cx {
    pub(crate) config: Config,
    /// The time of the event that is being handled; it never goes back.
    pub(crate) now: Time,
    /// The round in progress and what it starts from.
    pub(crate) start: RoundStart,
    /// Its committee and its proposers.
    pub(crate) election: Election,
    pub(crate) clock: Clock,
    pub(crate) jobs: Jobs,
    pub(crate) objects: Objects,
    /// The member that delivered the message being handled; its sender may be another one.
    pub(crate) handed_over_by: Option<MemberIndex>,
    throttle: Throttle,
    timers: BTreeMap<TimerId, Time>,
    effects: Vec<Effect>,
    evidence: Vec<(Evidence, String)>,
    dropped: BTreeMap<&'static str, u64>,
}

impl Cx {
    pub(crate) fn new(config: Config, tip: &Tip) -> Self {
        let (start, election) = round_after(&config, tip);
        Self {
            config,
            now: Time(0),
            start,
            election,
            clock: Clock::default(),
            jobs: Jobs::default(),
            objects: Objects::default(),
            handed_over_by: None,
            throttle: Throttle::default(),
            timers: BTreeMap::new(),
            effects: Vec::new(),
            evidence: Vec::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// The round after `tip` begins.
    pub(crate) fn begin_round(&mut self, tip: &Tip) {
        (self.start, self.election) = round_after(&self.config, tip);
        self.clock = Clock::default();
    }

    /// This member.
    pub(crate) const fn me(&self) -> MemberIndex {
        self.config.me
    }

    /// The round in progress.
    pub(crate) const fn round(&self) -> Round {
        self.start.round
    }

    /// Queues an effect; see [`Effect`] for the order in which the host executes them.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Takes the effects of the event that has been handled.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        core::mem::take(&mut self.effects)
    }

    /// Collects evidence that a part has found; the machine hands it to `Bans` once the part is
    /// done.
    pub(crate) fn accuse(&mut self, evidence: Evidence) {
        let reason = evidence.description();
        self.accuse_because(evidence, reason);
    }

    /// Like [`Self::accuse`], with a reason for the operator.
    pub(crate) fn accuse_because(&mut self, evidence: Evidence, reason: String) {
        self.evidence.push((evidence, reason));
    }

    /// Collects evidence of two contradicting statements.
    pub(crate) fn equivocated(
        &mut self,
        member: MemberIndex,
        first: (Body, Signature),
        second: (Body, Signature),
    ) {
        self.accuse(Evidence::equivocation(member, self.round(), first, second));
    }

    /// Takes the evidence that [`Self::accuse`] has collected.
    pub(crate) fn take_evidence(&mut self) -> Vec<(Evidence, String)> {
        core::mem::take(&mut self.evidence)
    }

    pub(crate) fn set_timer(&mut self, timer: TimerId, ms: u64) {
        let at = self.now.plus_ms(ms);
        self.timers.insert(timer, at);
        self.push(Effect::SetTimer(timer, at));
    }

    pub(crate) fn cancel_timer(&mut self, timer: TimerId) {
        if self.timers.remove(&timer).is_some() {
            self.push(Effect::CancelTimer(timer));
        }
    }

    /// Whether a tick is of the timer as it is set now: it may have been on its way when the timer
    /// was set anew.
    pub(crate) fn is_due(&mut self, timer: TimerId) -> bool {
        let due = self.timers.get(&timer).is_some_and(|at| *at <= self.now.plus_ms(TIMER_SLACK_MS));
        if due {
            self.timers.remove(&timer);
        }
        due
    }

    /// When `timer` runs out, if it is set.
    pub(crate) fn timer(&self, timer: TimerId) -> Option<Time> {
        self.timers.get(&timer).copied()
    }

    /// Counts an input that is dropped, by reason.
    pub(crate) fn dropped(&mut self, reason: &'static str) {
        let count = self.dropped.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Number of dropped inputs since the start, by reason.
    pub(crate) const fn drops(&self) -> &BTreeMap<&'static str, u64> {
        &self.dropped
    }
}

/// The round that follows `tip`, and its election.
fn round_after(config: &Config, tip: &Tip) -> (RoundStart, Election) {
    let rules = config.rules();
    let election = Election::draw(
        &tip.beacon,
        config.manifest.epoch(),
        tip.round,
        rules.member_count,
        rules.committee_size,
    );
    let Tip { round, applied, beacon, stopped, .. } = *tip;
    let start = RoundStart { round, applied, beacon, stopped };
    (start, election)
}
