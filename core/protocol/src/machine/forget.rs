//! Secrets of rounds are erased when their round is settled. When no round follows that this member takes part in, all go:
//! when the federation is done, and when a pause has been in effect for [`LONG_PAUSE_MS`]. A shorter pause ends with the
//! round that it began in as far as keys are concerned: settling it erases its key, and a paused member makes none.
//!
//! A member that is resumed makes new keys. What is sealed to the old ones by then stays closed: it asks for it again.

use super::{Machine, Tag};
use crate::ids::Time;
use crate::job::Job;
use crate::limits::LONG_PAUSE_MS;

impl Machine {
    /// A status tick.
    pub(super) fn count_pause(&mut self) {
        self.paused_beats = if self.is_paused() { self.paused_beats.saturating_add(1) } else { 0 };
    }

    /// Erases what no coming round needs. True while this member waits for it: no key is made meanwhile.
    pub(super) fn erase_secrets(&mut self) -> bool {
        if self.jobs.is_running(Tag::Erase) {
            return true;
        }
        let paused = Time(self.paused_beats.saturating_mul(self.config.heartbeat_ms()));
        let for_long = self.is_paused() && paused >= Time(LONG_PAUSE_MS);
        if self.erased || !self.settling.is_empty() || !(self.is_done() || for_long) {
            return false;
        }
        self.start(Tag::Erase, Job::EraseSecrets);
        true
    }

    pub(super) fn erased(&mut self) {
        self.erased = true;
        if let Some(own) = self.peers.get_mut(self.config.me.position()) {
            own.keys.clear();
        }
    }
}
