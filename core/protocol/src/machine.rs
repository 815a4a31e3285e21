//! The machine: one member of one federation, from events to effects.
//!
//! Handlers of events only note what happened; then `Machine::advance` (in `round`) does whatever has become
//! possible, phase by phase. So the order in which messages arrive does not matter, and a restart is a matter of
//! noting what the journal says.

mod absence;
mod ahead;
mod bans;
mod boot;
mod chain;
mod config;
mod doubt;
mod forget;
mod heartbeat;
mod inbox;
mod jobs;
mod keys;
mod lives;
mod objects;
mod outbox;
mod past;
mod publish;
mod sync;
mod throttle;

use std::collections::BTreeMap;

pub use config::Config;
pub(crate) use jobs::Tag;
pub(crate) use throttle::Question;

use crate::effect::Effect;
use crate::event::{Command, Event, TimerId};
use crate::ids::{MemberIndex, Round, Time};
use crate::ledger::Tip;
use crate::object::ObjectRef;
use crate::round::{Lapses, RoundState};
use crate::wire::{Scope, Signed, SignedHeartbeat};
use absence::{Absence, Departure};
use ahead::Ahead;
use bans::Bans;
use doubt::Doubt;
use jobs::Jobs;
use lives::Life;
use objects::Objects;
use past::Past;
use publish::Published;
use throttle::Throttle;

/// A tick counts if it comes at most this much too early.
const TIMER_SLACK_MS: u64 = 20;

/// What is known of a member across rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// The host can reach it.
    pub(crate) reachable: bool,
    /// Its sealing keys for this round and the next one.
    pub(crate) keys: BTreeMap<Round, Vec<u8>>,
    /// Its newest heartbeat, see `lives`.
    pub(crate) newest: Option<Box<SignedHeartbeat>>,
    /// What it was answered lately.
    pub(crate) throttle: Throttle,
    /// Whether it is away.
    pub(crate) absence: Absence,
    /// Messages of the next round.
    pub(crate) early: Vec<Signed>,
}

/// One member. See the crate's documentation for its contract with the host.
pub struct Machine {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) booted: bool,
    pub(crate) paused: bool,
    /// What others were told of the own absence.
    pub(crate) departure: Departure,
    /// Which life of this member it is, and its heartbeats.
    pub(crate) incarnation: Life,
    /// Who handed over the message that is being looked at.
    pub(crate) handed_over_by: Option<MemberIndex>,
    /// The last word has been said.
    pub(crate) gone: bool,
    pub(crate) out: Vec<Effect>,
    pub(crate) timers: BTreeMap<TimerId, Time>,
    pub(crate) jobs: Jobs,
    pub(crate) objects: Objects,
    pub(crate) peers: Vec<Peer>,
    pub(crate) tip: Tip,
    /// What is kept of the rounds before.
    pub(crate) past: Past,
    /// Journal entries of rounds that the ledger does not reach yet.
    pub(crate) ahead: Ahead,
    /// The global adapter that the host holds.
    pub(crate) held: Option<ObjectRef>,
    /// The own update of this round is being settled; the next must wait.
    pub(crate) settling: BTreeMap<Round, Option<crate::job::Fate>>,
    /// What earlier lives said is not known; the others have been asked. `None` once they have told.
    pub(crate) doubt: Option<Doubt>,
    /// The journal is known to lack something that was said in this round or before: silent through it.
    pub(crate) silent_through: Option<Round>,
    /// Against whom there is proof.
    pub(crate) bans: Bans,
    /// The secrets of all rounds have been erased since the last key was made.
    pub(crate) erased: bool,
    /// Own heartbeats since a pause took effect.
    pub(crate) paused_beats: u64,
    /// Round 0: the key that the manifest names is known to be on the disk, or another has been made.
    pub(crate) first_key_checked: bool,
    /// Dealers that owed an answer in earlier rounds.
    pub(crate) lapses: Lapses,
    pub(crate) round: RoundState,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    pub(crate) published: Published,
}

impl Machine {
    /// A member that waits for [`Event::Boot`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let tip = Tip::start(&config.manifest);
        let round = RoundState::new(&config, &tip);
        let peers = config
            .manifest
            .manifest()
            .members
            .iter()
            .map(|m| Peer {
                keys: BTreeMap::from([(Round(0), m.sealing_key.clone())]),
                ..Peer::default()
            })
            .collect();
        Self {
            config,
            now: Time(0),
            booted: false,
            paused: false,
            departure: Departure::default(),
            incarnation: Life::default(),
            handed_over_by: None,
            gone: false,
            out: Vec::new(),
            timers: BTreeMap::new(),
            jobs: Jobs::default(),
            objects: Objects::default(),
            peers,
            tip,
            past: Past::default(),
            ahead: Ahead::default(),
            held: None,
            settling: BTreeMap::new(),
            doubt: None,
            silent_through: None,
            bans: Bans::default(),
            erased: false,
            paused_beats: 0,
            first_key_checked: false,
            lapses: Lapses::default(),
            round,
            dropped: BTreeMap::new(),
            published: Published::default(),
        }
    }

    /// This member's position in the manifest.
    #[must_use]
    pub const fn me(&self) -> MemberIndex {
        self.config.me
    }

    /// Where this member's signatures belong at the moment.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.config.roster().scope(self.round.number)
    }

    /// What to do about `event`. Pure: the same machine, time and event give the same effects. Never panics.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        let is_routine = !matches!(
            event,
            Event::Boot { .. }
                | Event::Tick(TimerId::Heartbeat)
                | Event::PeerUp(_)
                | Event::PeerDown(_)
                | Event::Operator(_)
        );
        match event {
            Event::Boot { journal, nonce } => {
                if self.booted {
                    self.dropped("boot: a second time");
                } else {
                    self.departure.incarnation = nonce;
                    self.boot(&journal, nonce);
                }
            }
            _ if !self.booted => self.dropped("event: before boot"),
            _ if self.gone => self.dropped("event: after the goodbye"),
            Event::Tick(timer) => self.tick(timer),
            Event::Message { from, bytes } => {
                self.handed_over_by = Some(from);
                self.receive(&bytes);
                self.handed_over_by = None;
            }
            Event::PeerUp(member) => self.set_reachable(member, true),
            Event::PeerDown(member) => self.set_reachable(member, false),
            Event::ObjectReady(object) => {
                self.objects.arrived(&object);
                self.round.stirred.arrived(&object);
            }
            Event::ObjectFailed(object) => self.objects.failed(&object),
            Event::JobDone(id, output) => self.job_done(id, output),
            Event::JobFailed(id, _reason) => self.job_failed(id),
            Event::Records { to, records } => self.give_records(to, records),
            Event::Operator(Command::Pause) => self.paused = true,
            Event::Operator(Command::Resume) => self.paused = false,
            Event::Operator(Command::Leave) => self.leave(),
            Event::Operator(Command::Lift { member, through }) => self.lift(member, through),
        }
        if self.booted && !self.gone {
            self.advance();
            self.announce_absence();
            self.publish(is_routine);
        }
        core::mem::take(&mut self.out)
    }

    fn tick(&mut self, timer: TimerId) {
        // A host may deliver a tick that was on its way when the timer was set anew; clocks may round by a little.
        match self.timers.get(&timer) {
            Some(at) if *at <= self.now.plus_ms(TIMER_SLACK_MS) => self.timers.remove(&timer),
            _ => return self.dropped("timer: not set"),
        };
        match timer {
            TimerId::Commit => self.round.clock.commit_over = true,
            TimerId::Transfer => self.round.clock.transfer_over = true,
            TimerId::Decrypt => self.round.clock.decrypt_over = true,
            TimerId::Round => self.round.clock.round_over = true,
            TimerId::View => self.view_timeout(),
            TimerId::Heartbeat => {
                self.jobs.rested();
                self.objects.forget_failed();
                self.look_again();
                self.complain_again();
                self.hand_on_complaints();
                self.count_pause();
                self.count_absence();
                self.beat();
                self.say_goodbye();
                self.ask_again_in_doubt();
                self.ask_those_ahead();
                self.ask_for_commitments();
                self.set_timer(TimerId::Heartbeat, self.config.heartbeat_ms());
            }
        }
    }

    pub(crate) fn set_timer(&mut self, timer: TimerId, ms: u64) {
        let at = self.now.plus_ms(ms);
        self.timers.insert(timer, at);
        self.out.push(Effect::SetTimer(timer, at));
    }

    pub(crate) fn cancel_timer(&mut self, timer: TimerId) {
        if self.timers.remove(&timer).is_some() {
            self.out.push(Effect::CancelTimer(timer));
        }
    }

    fn set_reachable(&mut self, member: MemberIndex, reachable: bool) {
        let Some(peer) = self.peers.get_mut(member.position()) else { return };
        let is_new = reachable && !peer.reachable;
        peer.reachable = reachable;
        if is_new {
            // What was gossiped before it could be reached has not come to it.
            let heartbeat = self.heartbeat();
            self.tell(member, crate::wire::Body::Heartbeat(Box::new(heartbeat)));
            self.ask_one_in_doubt(member);
            self.ask_if_behind(member);
        }
    }

    /// Counts something that was not used.
    pub(crate) fn dropped(&mut self, reason: &'static str) {
        let count = self.dropped.entry(reason).or_default();
        *count = count.saturating_add(1);
    }
}
