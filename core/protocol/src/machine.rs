//! The machine: one member of one federation, from events to effects. It owns the parts and gives
//! each what concerns it.
//!
//! Handlers of events only note what happened; then `Machine::advance` lets the parts do whatever
//! has become possible, phase by phase. So the order in which messages arrive does not matter, and
//! a restart is a matter of noting what the journal says.

mod boot;
mod config;
mod heartbeats;
mod inbox;
mod jobs;
mod participation;
mod publish;

pub use config::Config;

use crate::chain::Chain;
use crate::context::Cx;
use crate::effect::Effect;
use crate::event::{Command, Event, TimerId};
use crate::ids::{MemberIndex, Round, Time};
use crate::job::Fate;
use crate::ledger::includes;
use crate::members::{Departure, Members, SealingKeys};
use crate::recovery::{Incarnation, Recovery};
use crate::round::{Outside, RoundState};
use crate::settlement::Settlement;
use crate::status::Phase;
use crate::sync::Sync;
use crate::wire::{CertifiedRecord, Scope};
use inbox::Early;
use publish::Published;

/// One member. See the crate's documentation for its contract with the host.
pub struct Machine {
    cx: Cx,
    booted: bool,
    /// An operator wants this member to take no part in rounds that have not started.
    paused: bool,
    /// The last message has been sent.
    gone: bool,
    chain: Chain,
    members: Members,
    keys: SealingKeys,
    recovery: Recovery,
    incarnation: Incarnation,
    departure: Departure,
    sync: Sync,
    settlement: Settlement,
    round: RoundState,
    early: Early,
    published: Published,
}

impl Machine {
    /// Rounds that had been applied when the members ended the training early, if they did.
    #[must_use]
    pub const fn stopped(&self) -> Option<u64> {
        self.chain.tip.stopped
    }

    /// Whether no round follows.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.chain.is_done()
    }

    /// A member that waits for [`Event::Boot`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let chain = Chain::new(&config);
        let cx = Cx::new(config, &chain.tip);
        Self {
            booted: false,
            paused: false,
            gone: false,
            chain,
            members: Members::new(&cx.config),
            keys: SealingKeys::new(&cx.config),
            recovery: Recovery::default(),
            incarnation: Incarnation::default(),
            departure: Departure::new(&cx.config),
            sync: Sync::default(),
            settlement: Settlement::default(),
            round: RoundState::new(&cx),
            early: Early::default(),
            published: Published::default(),
            cx,
        }
    }

    /// This member's position in the manifest.
    #[must_use]
    pub const fn me(&self) -> MemberIndex {
        self.cx.me()
    }

    /// Where this member's signatures belong at the moment.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.cx.config.roster().scope(self.cx.round())
    }

    /// Whether there is proof against another member, and nobody has lifted its ban.
    #[must_use]
    pub fn is_banned(&self, member: MemberIndex) -> bool {
        self.members.is_banned(member)
    }

    /// The newest round of which something is proven of `member`.
    #[must_use]
    pub fn proven_through(&self, member: MemberIndex) -> Option<Round> {
        self.members.bans.proven_through(member)
    }

    /// What to do about `event`. Pure: the same machine, time and event give the same effects.
    /// Never panics.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Effect> {
        self.cx.now = self.cx.now.max(now);
        let is_routine = !matches!(
            event,
            Event::Boot { .. }
                | Event::Tick(TimerId::Heartbeat)
                | Event::PeerUp(_)
                | Event::PeerDown(_)
                | Event::Operator(_)
        );
        let is_news = self.on_event(event) | self.take_evidence();
        if self.booted && !self.gone && is_news {
            self.advance();
            self.announce_absence();
            self.publish(is_routine);
        }
        self.cx.take_effects()
    }

    /// Returns whether anything may have become possible: most messages are known already, or only
    /// ask for something.
    fn on_event(&mut self, event: Event) -> bool {
        match event {
            Event::Boot { .. } if self.booted => self.cx.dropped("boot: a second time"),
            Event::Boot { journal, nonce } => self.boot(&journal, nonce),
            _ if !self.booted => self.cx.dropped("event: before boot"),
            _ if self.gone => self.cx.dropped("event: after the goodbye"),
            Event::Tick(timer) => self.on_tick(timer),
            Event::Message { from, bytes } => {
                self.cx.handed_over_by = Some(from);
                let is_news = self.receive(&bytes);
                self.cx.handed_over_by = None;
                return is_news;
            }
            Event::PeerUp(member) => self.on_reachable(member),
            Event::PeerDown(member) => {
                self.members.set_reachable(member, false);
            }
            Event::ObjectReady(object) => {
                self.cx.objects.arrived(&object);
                self.round.collect.commitments.object_arrived(&object);
            }
            Event::ObjectFailed(object) => self.cx.objects.failed(&object),
            Event::JobDone(id, output) => self.on_job_done(id, output),
            Event::JobFailed(id, _reason) => self.on_job_failed(id),
            Event::Records { to, records } => Sync::on_records_read(&mut self.cx, to, records),
            Event::Operator(Command::Pause) => self.paused = true,
            Event::Operator(Command::Resume) => self.paused = false,
            Event::Operator(Command::Leave) => {
                self.departure.leave(&mut self.cx);
                self.gone = true;
            }
            Event::Operator(Command::Lift { member, through }) => {
                self.members.bans.lift(member, through);
            }
        }
        true
    }

    fn on_tick(&mut self, timer: TimerId) {
        if !self.cx.is_due(timer) {
            return self.cx.dropped("timer: not set");
        }
        match timer {
            TimerId::Commit => self.cx.clock.commit_over = true,
            TimerId::Transfer => self.cx.clock.transfer_over = true,
            TimerId::Decrypt => self.cx.clock.decrypt_over = true,
            TimerId::Round => self.cx.clock.round_over = true,
            TimerId::View => self.round.view_timeout(),
            TimerId::Heartbeat => self.on_heartbeat_tick(),
        }
    }

    /// Hands the evidence that parts have found to `Bans`. Returns whether there was any.
    fn take_evidence(&mut self) -> bool {
        let found = self.cx.take_evidence();
        let any = !found.is_empty();
        for (evidence, reason) in found {
            self.members.bans.on_evidence(&mut self.cx, &evidence, &reason);
        }
        any
    }

    /// Does whatever has become possible: outside of the round, then phase by phase.
    fn advance(&mut self) {
        self.recovery.advance(&mut self.cx, self.chain.is_done());
        self.members.bans.advance(&mut self.cx);
        self.start_pending_settlement();
        loop {
            let before = (self.cx.round(), self.round.phase);
            if self.round.phase.is_waiting() {
                self.round.phase = self.begin_when_ready();
            } else {
                self.advance_round();
            }
            if (self.cx.round(), self.round.phase) == before {
                break;
            }
            self.start_pending_settlement();
        }
    }

    /// A phase of the round, and the end of the round once its record is certified.
    fn advance_round(&mut self) {
        let Self { cx, round, members, keys, chain, .. } = self;
        let is_recording = round.phase == Phase::Record;
        round.phase = round.advance(cx, Outside { members, keys, chain });
        if is_recording {
            let decisions = (&round.set, &round.outcome);
            if let Some(certified) = round.finish.certified(cx, decisions, &members.bans) {
                self.finish(certified);
            }
        }
    }

    /// Makes the sealing key of this round if it is not there yet, settles what has ended, oldest
    /// first, and towards the end of the round makes the key of the next one.
    fn start_pending_settlement(&mut self) {
        let (is_done, is_paused, is_silent) =
            (self.chain.is_done(), self.is_paused(), self.is_silent());
        if self.settlement.erase_secrets(&mut self.cx, is_done, is_paused) {
            return;
        }
        let needs_key = !is_done && !self.recovery.is_behind() && !is_paused;
        if needs_key && self.keys.make(&mut self.cx, is_silent) {
            return;
        }
        if self.settlement.advance(&mut self.cx) {
            return;
        }
        if matches!(self.round.phase, Phase::Decrypt | Phase::Apply | Phase::Record) {
            self.keys.make_next(&mut self.cx);
        }
    }

    /// The current round has ended with `certified`, which has been checked: it is appended, and
    /// the next one begins.
    fn finish(&mut self, certified: CertifiedRecord) {
        let ended = self.cx.round();
        let fate = self.fate(&certified);
        let adapter = self.round.finish.accepted_adapter();
        let unanswered = self.round.collect.unanswered();
        self.chain.append(&certified.record, self.cx.me());
        self.cx.push(Effect::Append(Box::new(certified)));
        for timer in
            [TimerId::Commit, TimerId::Transfer, TimerId::View, TimerId::Decrypt, TimerId::Round]
        {
            self.cx.cancel_timer(timer);
        }
        self.cx.cancel_round_jobs();
        self.cx.end_round_objects();
        self.members.bans.begin_round();
        if let Some(adapter) = adapter {
            self.sync.on_applied(&mut self.cx, &self.chain, adapter);
        }
        self.cx.begin_round(&self.chain.tip);
        self.round = RoundState::new(&self.cx);
        self.keys.begin_round(self.cx.round());
        self.settlement.round_ended(ended, fate);
        self.recall_round();
        self.members.exclusions.begin_round(&mut self.cx, ended, &unanswered);
        self.take_early();
        self.take_evidence();
    }

    /// What became of this member's own update: decided by the record and by whether this member
    /// had committed.
    fn fate(&self, certified: &CertifiedRecord) -> Option<Fate> {
        if includes(&certified.record.outcome, self.cx.me()) {
            return Some(Fate::Spent);
        }
        self.round.collect.commitments.own().map(|_| Fate::Kept)
    }
}
