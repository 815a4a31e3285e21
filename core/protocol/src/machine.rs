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
mod past;
mod publish;
mod sync;

use std::collections::BTreeMap;

pub(crate) use crate::context::{Question, Tag};
pub use config::Config;

use crate::context::Cx;
use crate::effect::{Effect, Purpose};
use crate::event::{Command, Event, TimerId};
use crate::ids::{MemberIndex, Round, Time};
use crate::ledger::Tip;
use crate::message::{Scope, Signed, SignedHeartbeat};
use crate::object::ObjectRef;
use crate::round::{Lapses, RoundState};
use absence::{Absence, Departure};
use ahead::Ahead;
use bans::Bans;
use doubt::Doubt;
use lives::Life;
use past::Past;
use publish::Published;

/// What is known of a member across rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// The host can reach it.
    pub(crate) reachable: bool,
    /// Its sealing keys for this round and the next one.
    pub(crate) keys: BTreeMap<Round, Vec<u8>>,
    /// Its newest heartbeat, see `lives`.
    pub(crate) newest: Option<Box<SignedHeartbeat>>,
    /// Whether it is away.
    pub(crate) absence: Absence,
    /// Messages of the next round.
    pub(crate) early: Vec<Signed>,
}

/// One member. See the crate's documentation for its contract with the host.
pub struct Machine {
    pub(crate) cx: Cx,
    pub(crate) booted: bool,
    pub(crate) paused: bool,
    /// What others were told of the own absence.
    pub(crate) departure: Departure,
    /// Which life of this member it is, and its heartbeats.
    pub(crate) life: Life,
    /// The last word has been said.
    pub(crate) gone: bool,
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
    pub(crate) published: Published,
}

impl Machine {
    /// A member that waits for [`Event::Boot`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let tip = Tip::start(&config.manifest);
        let cx = Cx::new(config, &tip);
        let round = RoundState::new(&cx);
        let peers = cx
            .config
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
            cx,
            booted: false,
            paused: false,
            departure: Departure::default(),
            life: Life::default(),
            gone: false,
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
            published: Published::default(),
        }
    }

    /// This member's position in the manifest.
    #[must_use]
    pub const fn me(&self) -> MemberIndex {
        self.cx.config.me
    }

    /// Where this member's signatures belong at the moment.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.cx.config.roster().scope(self.cx.round())
    }

    /// What to do about `event`. Pure: the same machine, time and event give the same effects. Never panics.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Effect> {
        self.cx.now = self.cx.now.max(now);
        let is_routine = !matches!(
            event,
            Event::Boot { .. }
                | Event::Tick(TimerId::Status)
                | Event::PeerUp(_)
                | Event::PeerDown(_)
                | Event::Operator(_)
        );
        match event {
            Event::Boot { journal, nonce } => {
                if self.booted {
                    self.cx.dropped("boot: a second time");
                } else {
                    self.departure.life = nonce;
                    self.boot(&journal, nonce);
                }
            }
            _ if !self.booted => self.cx.dropped("event: before boot"),
            _ if self.gone => self.cx.dropped("event: after the goodbye"),
            Event::Tick(timer) => self.tick(timer),
            Event::Message { from, bytes } => {
                self.cx.handed_over_by = Some(from);
                self.receive(&bytes);
                self.cx.handed_over_by = None;
            }
            Event::PeerUp(member) => self.set_reachable(member, true),
            Event::PeerDown(member) => self.set_reachable(member, false),
            Event::ObjectReady(object) => {
                self.cx.objects.arrived(&object);
                self.round.stirred.arrived(&object);
            }
            Event::ObjectFailed(object) => self.cx.objects.failed(&object),
            Event::JobDone(id, output) => self.job_done(id, output),
            Event::JobFailed(id, _reason) => self.job_failed(id),
            Event::Records { to, records } => self.give_records(to, records),
            Event::Operator(Command::Pause) => self.paused = true,
            Event::Operator(Command::Resume) => self.paused = false,
            Event::Operator(Command::Leave) => self.leave(),
            Event::Operator(Command::Lift { member, through }) => self.lift(member, through),
        }
        self.take_evidence();
        if self.booted && !self.gone {
            self.advance();
            self.announce_absence();
            self.publish(is_routine);
        }
        self.cx.take_effects()
    }

    fn tick(&mut self, timer: TimerId) {
        if !self.cx.is_due(timer) {
            return self.cx.dropped("timer: not set");
        }
        match timer {
            TimerId::Commit => self.cx.clock.commit_over = true,
            TimerId::Transfer => self.cx.clock.transfer_over = true,
            TimerId::Decrypt => self.cx.clock.decrypt_over = true,
            TimerId::Round => self.cx.clock.round_over = true,
            TimerId::View => self.view_timeout(),
            TimerId::Status => {
                self.cx.jobs.rested();
                self.cx.objects.forget_failed();
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
                self.cx.set_timer(TimerId::Status, self.cx.config.status_ms());
            }
        }
    }

    fn set_reachable(&mut self, member: MemberIndex, reachable: bool) {
        let Some(peer) = self.peers.get_mut(member.position()) else { return };
        let is_new = reachable && !peer.reachable;
        peer.reachable = reachable;
        if is_new {
            // What was gossiped before it could be reached has not come to it.
            let heartbeat = self.heartbeat();
            self.cx.send(member, crate::message::Body::Status(Box::new(heartbeat)));
            self.ask_one_in_doubt(member);
            self.ask_if_behind(member);
        }
    }

    /// Whether `object` is here; if not, it is fetched, from members against whom there is proof only if need be.
    pub(crate) fn want(
        &mut self,
        object: ObjectRef,
        purpose: Purpose,
        holders: impl FnOnce(&Self) -> Vec<MemberIndex>,
    ) -> bool {
        if let Some(here) = self.cx.is_requested(&object, purpose) {
            return here;
        }
        let mut holders = holders(self);
        holders.sort_by_key(|m| self.is_banned(*m));
        self.cx.fetch(object, purpose, holders);
        false
    }

    /// Hands the proof that has been come upon to those who keep it.
    pub(crate) fn take_evidence(&mut self) {
        for (evidence, reason) in self.cx.take_evidence() {
            self.ban(&evidence, &reason);
        }
    }
}
