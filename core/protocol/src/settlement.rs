//! What is left to do when a round has ended: what became of this member's own update is settled,
//! and the round's secrets are erased.
//!
//! Secrets of rounds are erased when their round is settled. When no round follows that this member
//! takes part in, all go: when the federation is done, and when a pause has been in effect for
//! [`LONG_PAUSE_MS`]. A shorter pause ends with the round that it began in as far as keys are
//! concerned: settling it erases its key, and a paused member makes none.
//!
//! A member that is resumed makes new keys. What is sealed to the old ones by then stays closed: it
//! asks for it again.

use std::collections::BTreeMap;

use crate::context::{Cx, Tag};
use crate::effect::Effect;
use crate::ids::{Round, Time};
use crate::job::{Fate, Job};
use crate::limits::LONG_PAUSE_MS;
use crate::wire::journal::Note;

/// Rounds that have ended and are not settled yet; the next cannot start before they are.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    open: BTreeMap<Round, Option<Fate>>,
    /// The secrets of all rounds have been erased since the last key was made.
    erased: bool,
    /// Own heartbeats since a pause took effect.
    paused_beats: u64,
}

impl Settlement {
    /// Whether nothing is left to settle.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// `round` has ended with this fate of this member's own update.
    pub(crate) fn round_ended(&mut self, round: Round, fate: Option<Fate>) {
        self.open.insert(round, fate);
    }

    /// The journal has an entry of a round that has its record.
    pub(crate) fn recall(&mut self, round: Round, fate: Option<Fate>) {
        let known = self.open.entry(round).or_default();
        *known = fate.or(*known);
    }

    /// A heartbeat tick.
    pub(crate) const fn tick(&mut self, is_paused: bool) {
        self.paused_beats = if is_paused { self.paused_beats.saturating_add(1) } else { 0 };
    }

    /// Erases what no coming round needs. True while this member waits for it: no key is made
    /// meanwhile.
    pub(crate) fn erase_secrets(&self, cx: &mut Cx, is_done: bool, is_paused: bool) -> bool {
        if cx.jobs.is_running(Tag::Erase) {
            return true;
        }
        let paused = Time(self.paused_beats.saturating_mul(cx.config.heartbeat_ms()));
        let for_long = is_paused && paused >= Time(LONG_PAUSE_MS);
        if self.erased || !self.is_done() || !(is_done || for_long) {
            return false;
        }
        cx.start(Tag::Erase, Job::EraseSecrets { is_done });
        true
    }

    pub(crate) const fn on_erased(&mut self) {
        self.erased = true;
    }

    /// A sealing key has been made: there is something to erase again.
    pub(crate) const fn key_made(&mut self) {
        self.erased = false;
    }

    /// Settles what has ended, oldest first. True while this member waits for it.
    pub(crate) fn advance(&self, cx: &mut Cx) -> bool {
        let Some((round, fate)) = self.open.first_key_value() else { return false };
        let (round, fate) = (*round, *fate);
        cx.start(Tag::Settle(round), Job::Settle { round, fate });
        true
    }

    /// The host has settled `round`. Returns whether it was the last, so that the journal can be
    /// cut.
    pub(crate) fn on_settled(&mut self, cx: &mut Cx, round: Round) -> bool {
        self.open.remove(&round);
        // The journal is never without an entry of the newest round. If it cannot be written, the
        // old ones stay.
        self.open.is_empty() && cx.persist(Note::Reached)
    }

    /// Entries of ended rounds can go from the journal.
    pub(crate) fn truncate(cx: &mut Cx) {
        let before = cx.round();
        cx.push(Effect::Truncate { before });
    }
}
